/* Puts one frame on an interface as it is: rawframe INTERFACE HEX. What the kernel would never send. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_MAX = 2048 };

/* Two hexadecimal digits a byte. Returns the bytes read, or 0 when the text is none. */
static size_t read_hex(const char *text, unsigned char *bytes)
{
    size_t size = 0;
    for (; *text && size < FRAME_MAX; text += 2, size++) {
        unsigned byte;
        if (sscanf(text, "%2x", &byte) != 1 || !text[1])
            return 0;
        bytes[size] = (unsigned char)byte;
    }
    return *text ? 0 : size;
}

int main(int argc, char **argv)
{
    unsigned char frame[FRAME_MAX];
    size_t size = argc == 3 ? read_hex(argv[2], frame) : 0;
    if (size == 0) {
        fprintf(stderr, "usage: rawframe INTERFACE HEX\n");
        return 2;
    }
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(0x0003));
    if (fd < 0 || to.sll_ifindex == 0 ||
        sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)size) {
        perror("rawframe");
        return 1;
    }
    close(fd);
    return 0;
}
