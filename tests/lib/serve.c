/* A web server of the kernel's TCP, as small as it can be: serve ADDRESS PORT FILE. Every request gets
   the file. Says "listening" when it does. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads up to the empty line that ends a request. */
static void take_request(int fd)
{
    char text[4096];
    size_t used = 0;
    ssize_t count;
    while (used < sizeof text - 1 && (count = read(fd, text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)count;
        text[used] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return;
    }
}

static void answer(int fd, const char *path)
{
    struct stat status;
    off_t at = 0;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) < 0)
        return;
    dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
            (long long)status.st_size);
    while (at < status.st_size && sendfile(fd, file, &at, (size_t)(status.st_size - at)) > 0)
        ;
    close(file);
}

int main(int argc, char **argv)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 4 || inet_pton(AF_INET, argv[1], &local.sin_addr) != 1) {
        fprintf(stderr, "usage: serve ADDRESS PORT FILE\n");
        return 2;
    }
    local.sin_port = htons((uint16_t)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&local, sizeof local) < 0 || listen(listener, 64) < 0) {
        perror("serve");
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    puts("listening");
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && fork() == 0) {
            take_request(fd);
            answer(fd, argv[3]);
            _exit(0);
        }
        close(fd);
    }
}
