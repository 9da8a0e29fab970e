/* An echo server on port 7 of the stack, for datagrams: each goes back to whom it came from. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <tapstack.h>

int main(void)
{
    static char bytes[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    int fd = ts_socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ts_bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return perror("echo_udp"), 1;
    for (;;) {
        socklen_t length = sizeof address;
        ssize_t got = ts_recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&address, &length);
        if (got >= 0)
            got = ts_sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&address, length);
        if (got < 0 && errno == ECONNABORTED) /* the daemon is gone */
            return perror("echo_udp"), 1;
        if (got < 0) /* the error of one datagram, told by the next call */
            perror("echo_udp");
    }
}
