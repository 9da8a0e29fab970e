/* An echo server on port 7 of the stack: every byte comes back. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <tapstack.h>
#include <unistd.h>

static void echo(int connection)
{
    char bytes[65536];
    ssize_t got;
    while ((got = ts_recv(connection, bytes, sizeof bytes, 0)) > 0) {
        for (ssize_t sent = 0, more; sent < got; sent += more) {
            more = ts_send(connection, bytes + sent, (size_t)(got - sent), 0);
            if (more < 0)
                return perror("ts_send");
        }
    }
    if (got < 0)
        perror("ts_recv");
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    int listener = ts_socket(AF_INET, SOCK_STREAM, 0), connection;
    if (listener < 0 || ts_bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        ts_listen(listener, 128) < 0)
        return perror("echo"), 1;
    signal(SIGCHLD, SIG_IGN);
    while ((connection = ts_accept(listener, NULL, NULL)) >= 0) {
        if (fork() == 0) { /* one process a connection: a descriptor is a descriptor */
            echo(connection);
            return 0;
        }
        ts_close(connection);
    }
    return perror("ts_accept"), 1;
}
