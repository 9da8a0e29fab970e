/* The card and the cable between the stack and the TAP device.

   Without a cable, receiving is: readv straight into the next slot of the card's ring until the
   device is empty or the batch is full, then poll the ring into the stack. Sending is one writev of
   the stack's own pieces. Nothing is copied, nothing allocated, super-frames stay whole.

   With a cable both ways lead through link/cable, which damages and delays frames as they are on a
   wire: super-frames are cut and every checksum is filled in first, and frames come out again in
   device_serve when their time has come. If the cable carries the FCS, the card verifies it for the
   stack; on the way out this file plays the far card and discards what was damaged.

       TAP -> tap_read ------------------------> nic ring -> nic_poll -> capture -> stack_input
                       \-> split -> cable[IN] -/

       stack_output -> device_send -> capture ------------------------> tap_write -> TAP
                                              \-> split -> cable[OUT] -/

   A batch is bounded in frames and in bytes, so that sending and the applications get their turn;
   what is left makes epoll report the device again at once. */
#include "daemon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../link/nic.h"
#include "../wire/fcs.h"
#include "../wire/pcapng.h"
#include "heap.h"
#include "log.h"
#include "tap.h"

enum {
    DEVICE_SLOTS = 64,            /* of the receive ring, and so frames of a batch */
    DEVICE_SLOT_BYTES = 68 << 10, /* in whole pages */
    DEVICE_BUFFERS = 3,           /* slots behind the ring, see struct device */
    DEVICE_MAPPED_BYTES = (DEVICE_SLOTS + DEVICE_BUFFERS) * DEVICE_SLOT_BYTES,
    DEVICE_BATCH_BYTES = 1 << 20,
    DEVICE_LONE_WAKEUPS = 8,
    /* The largest payload of a super-frame: IPv4's 65535 without the largest headers we send. */
    DEVICE_SEGMENT_MAX_BYTES = 65535 - 20 - 60,
    DEVICE_IN = 0,
    DEVICE_OUT = 1,
};

_Static_assert(FRAME_BYTES_MAX + FCS_BYTES <= DEVICE_SLOT_BYTES, "every frame fits a slot");

struct device {
    struct daemon *daemon;
    struct tap tap;
    struct loop_watch watch;
    bool gone;     /* the TAP was removed: the loop ends with this turn */
    bool full;     /* the TAP takes no more until it is writable again */
    unsigned lone; /* wake-ups in a row that brought one frame each */
    struct nic nic;
    struct nic_slot slots[DEVICE_SLOTS];
    struct cable *cable[2]; /* both or none */
    uint8_t *memory;        /* mapped: the ring and the buffers; what is not used costs nothing */
    uint8_t *whole;         /* a frame of the TAP on its way into the cable */
    uint8_t *cut;           /* one wire frame of a frame that is being cut */
    uint8_t *arrived;       /* a frame that came out of the cable and waits for the TAP */
    size_t arrived_bytes;   /* 0: none waits */
};

/* ---- Receiving ---- */

static void device_gone(struct device *device)
{
    if (device->gone)
        return;
    device->gone = true;
    log_error("device %s is gone", device->tap.name);
    loop_remove(&device->daemon->loop, &device->watch);
    device->daemon->loop.stop = true;
}

/* The driver's half of the card: every good frame of the ring goes to the stack. */
static void device_poll_card(struct device *device)
{
    struct daemon *daemon = device->daemon;
    const struct frame *frame;
    while ((frame = nic_poll(&device->nic)) != NULL) {
        capture_frame(daemon->capture, frame, PCAPNG_INBOUND);
        stack_input(daemon->stack, frame, daemon->loop.now_us);
    }
}

static uint8_t *device_slot_memory(const struct frame *slot)
{
    return (uint8_t *)(uintptr_t)slot->piece[0].data;
}

/* Reads the next frame into the ring. Returns its size or what tap_read says. */
static int device_read_to_ring(struct device *device)
{
    struct frame *slot = nic_ring_slot(&device->nic);
    if (!slot)
        return TAP_AGAIN;
    int size = tap_read(&device->tap, slot, device_slot_memory(slot), DEVICE_SLOT_BYTES);
    if (size >= 0)
        nic_ring_push(&device->nic, (size_t)size);
    return size;
}

static void device_serve_inbound(struct device *device);
static void device_serve_outbound(struct device *device);

/* Puts a frame into the cable as it would be on a wire, and takes out what arrives at once: a batch
   is larger than the cable's queue. */
static void device_send_by_cable(struct device *device, int direction, const struct frame *frame)
{
    struct frame_splitter splitter;
    size_t size;
    frame_split_start(&splitter, frame);
    while ((size = frame_split_next(&splitter, device->cut, DEVICE_SLOT_BYTES)) > 0)
        cable_send(device->cable[direction], device->cut, size, device->daemon->loop.now_us);
    if (direction == DEVICE_IN)
        device_serve_inbound(device);
    else
        device_serve_outbound(device);
}

/* Reads the next frame into the cable. Returns its size or what tap_read says. */
static int device_read_to_cable(struct device *device)
{
    struct frame frame = {.piece_count = 1};
    int size = tap_read(&device->tap, &frame, device->whole, DEVICE_SLOT_BYTES);
    if (size >= 0) {
        frame.piece[0] = (struct frame_piece){device->whole, (size_t)size};
        device_send_by_cable(device, DEVICE_IN, &frame);
    }
    return size;
}

/* May the read that only says "no more" be saved? After some wake-ups that brought a single frame
   each, the next is taken to be like them; every DEVICE_LONE_WAKEUPS-th looks again. If the guess
   was wrong epoll reports the device at once. */
static bool device_expects_one(const struct device *device)
{
    return device->lone >= DEVICE_LONE_WAKEUPS && device->lone % DEVICE_LONE_WAKEUPS != 0;
}

/* Reads until the device is empty or the batch is full. */
static void device_read_batch(struct device *device)
{
    unsigned most = device_expects_one(device) ? 1 : DEVICE_SLOTS;
    unsigned frames = 0;
    size_t bytes = 0;

    while (frames < most && bytes < DEVICE_BATCH_BYTES) {
        int size =
            device->cable[DEVICE_IN] ? device_read_to_cable(device) : device_read_to_ring(device);
        if (size == TAP_AGAIN)
            break;
        if (size == TAP_GONE) {
            device_gone(device);
            break;
        }
        frames++;
        if (size == TAP_REFUSED)
            device->nic.counters.rx_length_errors++;
        else
            bytes += (size_t)size;
    }
    device->lone = frames == 1 ? device->lone + 1 : 0;
}

static void device_ready(struct loop_watch *watch, uint32_t events)
{
    struct device *device =
        (struct device *)(void *)((char *)watch - offsetof(struct device, watch));

    if (events & EPOLLERR) {
        device_gone(device);
        return;
    }
    if (events & EPOLLOUT) {
        device->full = false;
        loop_change(&device->daemon->loop, watch, EPOLLIN);
    }
    if (events & EPOLLIN) {
        device_read_batch(device);
        device_poll_card(device);
    }
}

/* ---- Sending ---- */

/* Hands a frame to the TAP. Returns as device_send. */
static int device_write(struct device *device, const struct frame *frame)
{
    switch (tap_write(&device->tap, frame)) {
    case 0:
        return 0;
    case TAP_AGAIN:
        device->full = true;
        loop_change(&device->daemon->loop, &device->watch, EPOLLIN | EPOLLOUT);
        return 1;
    case TAP_GONE:
        device_gone(device);
        break;
    }
    device->nic.counters.tx_errors++;
    return -1;
}

static bool device_can_send_whole(const struct device *device, const struct frame *frame)
{
    if (frame->segment_bytes != 0)
        return device->tap.offload == TAP_OFFLOAD_CHECKSUM_TSO;
    return !(frame->flags & FRAME_CHECKSUM_PARTIAL) || device->tap.offload != TAP_OFFLOAD_NONE;
}

/* The software half of the offload. A device that is full in the middle loses the rest, as a card
   whose queue overflows does; TCP sends it again. */
static int device_write_cut(struct device *device, const struct frame *frame)
{
    struct frame wire = {.piece_count = 1};
    struct frame_splitter splitter;
    size_t size;
    int result = -1;

    frame_split_start(&splitter, frame);
    while ((size = frame_split_next(&splitter, device->cut, DEVICE_SLOT_BYTES)) > 0) {
        wire.piece[0] = (struct frame_piece){device->cut, size};
        result = device_write(device, &wire);
        if (result != 0 && splitter.segment <= 1)
            return result;
        if (result == 1)
            device->nic.counters.tx_errors++;
    }
    return 0;
}

int device_send(struct device *device, const struct frame *frame)
{
    int result = 0;
    if (device->cable[DEVICE_OUT])
        device_send_by_cable(device, DEVICE_OUT, frame);
    else if (device_can_send_whole(device, frame))
        result = device_write(device, frame);
    else
        result = device_write_cut(device, frame);
    if (result != 0)
        return result;
    device->nic.counters.tx_packets++;
    device->nic.counters.tx_bytes += frame_size(frame);
    capture_frame(device->daemon->capture, frame, PCAPNG_OUTBOUND);
    return 0;
}

/* ---- The cable's far ends ---- */

static void device_serve_inbound(struct device *device)
{
    struct frame *slot;
    size_t size = 1;
    while (size > 0) {
        while ((slot = nic_ring_slot(&device->nic)) != NULL) {
            size = cable_receive(device->cable[DEVICE_IN], device_slot_memory(slot),
                                 DEVICE_SLOT_BYTES, device->daemon->loop.now_us);
            if (size == 0)
                break;
            slot->flags = 0;
            slot->segment_bytes = slot->header_bytes = 0;
            nic_ring_push(&device->nic, size);
        }
        device_poll_card(device);
    }
}

/* The next frame for the TAP, FCS checked and taken off: damaged ones end here, as in the far card;
   the cable's counters have told of them. Returns false when none is due. */
static bool device_next_arrived(struct device *device)
{
    while (device->arrived_bytes == 0) {
        size_t size = cable_receive(device->cable[DEVICE_OUT], device->arrived, DEVICE_SLOT_BYTES,
                                    device->daemon->loop.now_us);
        if (size == 0)
            return false;
        if (!device->nic.carries_fcs)
            device->arrived_bytes = size;
        else if (fcs_check(device->arrived, size))
            device->arrived_bytes = size - FCS_BYTES;
    }
    return true;
}

static void device_serve_outbound(struct device *device)
{
    struct frame frame = {.piece_count = 1};
    while (!device->full && device_next_arrived(device)) {
        frame.piece[0] = (struct frame_piece){device->arrived, device->arrived_bytes};
        if (device_write(device, &frame) != 1)
            device->arrived_bytes = 0;
    }
}

void device_serve(struct device *device)
{
    if (!device->cable[DEVICE_IN])
        return;
    device_serve_inbound(device);
    device_serve_outbound(device);
}

uint64_t device_deadline(const struct device *device)
{
    if (!device->cable[DEVICE_IN])
        return UINT64_MAX;
    uint64_t inbound = cable_deadline(device->cable[DEVICE_IN]);
    uint64_t outbound = device->full ? UINT64_MAX : cable_deadline(device->cable[DEVICE_OUT]);
    return inbound < outbound ? inbound : outbound;
}

/* ---- Making it ---- */

static int device_map(struct device *device)
{
    void *memory = mmap(NULL, DEVICE_MAPPED_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    /* Huge pages would make the whole ring resident with the first frame. */
    madvise(memory, DEVICE_MAPPED_BYTES, MADV_NOHUGEPAGE);
    device->memory = memory;
    device->whole = device->memory + DEVICE_SLOTS * DEVICE_SLOT_BYTES;
    device->cut = device->whole + DEVICE_SLOT_BYTES;
    device->arrived = device->cut + DEVICE_SLOT_BYTES;
    return 0;
}

static int device_lay_cable(struct device *device, const struct config *config)
{
    if (!config->cable_present)
        return 0;
    for (int i = 0; i < 2; i++) {
        device->cable[i] =
            cable_create(&config->cable, config->cable_seed + (uint64_t)i, &heap_memory);
        if (!device->cable[i])
            return -1;
    }
    device->nic.carries_fcs = config->cable.fcs;
    return 0;
}

static int device_open_tap(struct device *device, const struct config *config)
{
    char error[TAP_ERROR_MAX];
    if (tap_open(&device->tap, config->device, config->offload, error) < 0 ||
        (config->host_address_v4 != 0 &&
         tap_configure_host(&device->tap, config->host_address_v4, config->prefix_bits,
                            config->mtu_bytes, error) < 0)) {
        log_error("%s", error);
        return -1;
    }
    return 0;
}

struct device *device_create(struct daemon *daemon)
{
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    device->daemon = daemon;
    device->tap.fd = -1;
    if (device_map(device) < 0) {
        log_error("no memory for the receive ring");
        device_destroy(device);
        return NULL;
    }
    nic_init(&device->nic, &daemon->config.mac, device->memory, device->slots, DEVICE_SLOTS,
             DEVICE_SLOT_BYTES);
    if (device_lay_cable(device, &daemon->config) < 0 ||
        device_open_tap(device, &daemon->config) < 0) {
        device_destroy(device);
        return NULL;
    }
    device->watch = (struct loop_watch){device->tap.fd, EPOLLIN, device_ready};
    loop_add(&daemon->loop, &device->watch);
    return device;
}

void device_destroy(struct device *device)
{
    if (device->tap.fd >= 0) {
        loop_remove(&device->daemon->loop, &device->watch);
        tap_close(&device->tap);
    }
    for (int i = 0; i < 2; i++)
        if (device->cable[i])
            cable_destroy(device->cable[i]);
    if (device->memory)
        munmap(device->memory, DEVICE_MAPPED_BYTES);
    free(device);
}

void device_configure(struct device *device, const struct cable_settings *settings)
{
    for (int i = 0; i < 2; i++)
        if (device->cable[i])
            cable_configure(device->cable[i], settings);
}

/* ---- Looking in ---- */

void device_describe(const struct device *device, struct stack_interface_config *interface)
{
    bool cable = device->cable[DEVICE_IN] != NULL; /* which does itself what an offload would */
    memcpy(interface->name, device->tap.name, sizeof interface->name);
    interface->checksum_offload = cable || device->tap.offload != TAP_OFFLOAD_NONE;
    interface->segment_max_bytes =
        cable || device->tap.offload == TAP_OFFLOAD_CHECKSUM_TSO ? DEVICE_SEGMENT_MAX_BYTES : 0;
}

const struct nic *device_nic(const struct device *device) { return &device->nic; }

const struct cable *device_cable(const struct device *device, int direction)
{
    return device->cable[direction];
}

const char *device_name(const struct device *device) { return device->tap.name; }

const char *device_offload(const struct device *device) { return device->tap.offload_text; }
