/* The folder of the sockets.

   It changes its owner and its leftovers are overwritten, so it must be a folder of our own: an
   existing one that holds any other file is refused. The lock (flock on the folder itself) tells a
   leftover of a daemon that died from the socket of one that lives. */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../api/message.h"

static const char *const folder_sockets[] = {TS_API_SOCKET, TS_CONTROL_SOCKET};
enum { FOLDER_SOCKETS = sizeof folder_sockets / sizeof folder_sockets[0] };

static int folder_fail(char *error, const char *dir, const char *why)
{
    snprintf(error, FOLDER_ERROR_MAX, "folder %s: %s", dir, why);
    return -1;
}

static bool folder_knows(const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    for (unsigned i = 0; i < FOLDER_SOCKETS; i++)
        if (strcmp(name, folder_sockets[i]) == 0)
            return true;
    return false;
}

static bool folder_is_ours(const char *dir)
{
    const struct dirent *entry;
    bool ours = true;
    DIR *entries = opendir(dir);
    while (entries && ours && (entry = readdir(entries)) != NULL)
        ours = folder_knows(entry->d_name);
    if (entries)
        closedir(entries);
    return entries && ours;
}

int folder_open(const char *dir, char *error)
{
    bool made = mkdir(dir, 0755) == 0;
    if (!made && errno != EEXIST)
        return folder_fail(error, dir, strerror(errno));
    if (!made && !folder_is_ours(dir))
        return folder_fail(error, dir, "holds other files; tapstackd wants a folder of its own");
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return folder_fail(error, dir, strerror(errno));
    if (flock(folder, LOCK_EX | LOCK_NB) < 0) {
        folder_fail(error, dir,
                    errno == EWOULDBLOCK ? "another tapstackd uses it" : strerror(errno));
        close(folder);
        return -1;
    }
    fchmod(folder, 0755); /* whatever the umask was; a folder of another owner stays as it is */
    return folder;
}

int folder_give(int folder, const char *dir, const char *user, char *error)
{
    if (geteuid() != 0 || user[0] == '\0')
        return 0;
    const struct passwd *entry = getpwnam(user);
    if (!entry)
        return folder_fail(error, dir, "its user does not exist");
    int result = fchown(folder, entry->pw_uid, entry->pw_gid);
    for (unsigned i = 0; i < FOLDER_SOCKETS && result == 0; i++)
        result =
            fchownat(folder, folder_sockets[i], entry->pw_uid, entry->pw_gid, AT_SYMLINK_NOFOLLOW);
    if (result == 0)
        return 0;
    snprintf(error, FOLDER_ERROR_MAX, "folder %s: cannot give it to user %s: %s", dir, user,
             strerror(errno));
    return -1;
}

void folder_close(int folder, const char *dir)
{
    for (unsigned i = 0; i < FOLDER_SOCKETS; i++)
        unlinkat(folder, folder_sockets[i], 0);
    rmdir(dir); /* fails where the folder above is not ours; then it waits for the next start */
    close(folder);
}
