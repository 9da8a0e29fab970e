/* Speaks to a Unix stream socket: `line SOCKET` sends standard input, ends its half, and copies
   what comes to standard output until the other side closes. For the tests of the control socket.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SILENCE_MS = 10000 };

static char bytes[65536];

/* Copies one piece. Returns its size, 0 at the end, or a negative number on an error. */
static ssize_t copy(int from, int to)
{
    ssize_t size = read(from, bytes, sizeof(bytes));

    for (ssize_t done = 0; done < size;) {
        ssize_t part = write(to, bytes + done, (size_t)(size - done));

        if (part < 0)
            return part;
        done += part;
    }
    return size;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd ready[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
        return fprintf(stderr, "usage: line SOCKET\n"), 2;
    strcpy(address.sun_path, argv[1]);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return perror(argv[1]), 1;
    ready[1].fd = fd;
    while (poll(ready, 2, SILENCE_MS) > 0) {
        if (ready[0].revents && copy(STDIN_FILENO, fd) <= 0) {
            shutdown(fd, SHUT_WR);
            ready[0].fd = -1;
        }
        if (ready[1].revents && copy(fd, STDOUT_FILENO) <= 0)
            return 0;
    }
    return fprintf(stderr, "line: no word for %d s\n", SILENCE_MS / 1000), 1;
}
