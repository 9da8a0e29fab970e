/* One interface's TAP device, with the card and the cable between it and the stack.

   Without a cable, receiving is: readv straight into the next slot of the card's ring until the
   device is empty or the batch is full; then, once a turn, a poll of the ring into the stack.
   Sending is one writev of the stack's own pieces. Nothing is copied, nothing allocated,
   super-frames stay whole.

   With a cable both ways lead through link/cable, which damages and delays frames as they are on a
   wire: super-frames are cut, every checksum is filled in and short frames are padded first, and
   frames come out again in device_serve when their time has come. If the cable carries the FCS, the
   card verifies it for the stack; on the way out this file plays the far card and discards what was
   damaged.

       TAP -> tap_read ------------------------> nic ring -> nic_poll -> capture -> stack_input
                       \-> split -> cable[IN] -/

       stack_output -> device_send -> capture ------------------------> tap_write -> TAP
                                              \-> split -> cable[OUT] -/

   A bridged device is the same with another device in the stack's place: what nic_poll gives goes
   to device_send of its peer.

   A batch is what arrives at one instant: where the ring is shorter it overruns, and frames are
   missed. It is bounded in frames and in bytes, so that sending and the applications get their
   turn; what is left makes epoll report the device again at once. Frames that come out of a cable
   arrive one after the other, and the ring is polled whenever it is full.

   A TAP that takes no more keeps its frames waiting here, copied, up to DEVICE_WAITING_MAX_BYTES;
   what comes then is dropped. No device waits for another. One that is removed is counted out: its
   frames end as carrier errors, and the daemon ends with the last device. */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../wire/ethernet.h"
#include "../wire/fcs.h"
#include "../wire/pcapng.h"
#include "heap.h"
#include "log.h"

enum {
    DEVICE_SLOT_BYTES = 68 << 10, /* in whole pages */
    DEVICE_BUFFERS = 3,           /* slots for frames on their way, see struct device */
    DEVICE_BATCH_FRAMES = 64,
    DEVICE_BATCH_BYTES = 1 << 20,
    DEVICE_LONE_WAKEUPS = 8,
    DEVICE_ENDED_TEXT_MAX = 256,
    DEVICE_WAITING_MAX_BYTES = 4 << 20,
    /* The largest payload of a super-frame: IPv4's 65535 without the largest headers we send. */
    DEVICE_SEGMENT_MAX_BYTES = 65535 - 20 - 60,
};

_Static_assert(FRAME_BYTES_MAX + FCS_BYTES <= DEVICE_SLOT_BYTES, "every frame fits a slot");

/* A frame that found the TAP full. */
struct device_waiting {
    struct device_waiting *next;
    struct frame frame; /* its one piece is bytes */
    uint8_t bytes[];
};

struct device {
    struct daemon *daemon;
    const struct config_interface *config; /* the daemon's own */
    struct device *peer;                   /* the other end of the bridge; NULL: the stack */
    unsigned index;                        /* in daemon->device, of the stack's interface */
    struct tap tap;
    struct loop_watch watch;
    bool gone;       /* the TAP was removed */
    bool down;       /* switched off at the console */
    bool full;       /* the TAP takes no more until it is writable again */
    unsigned lone;   /* wake-ups in a row that brought one frame each */
    uint64_t groups; /* stack_group_generation that the card's filter is of */
    struct nic nic;
    struct cable *cable[2];        /* both or none */
    struct cable_counters past[2]; /* of cables that have been taken out */
    uint32_t rules;                /* of the cable, numbered so far */
    uint8_t *buffers;              /* mapped, as the ring is; what is not used costs nothing */
    uint8_t *whole;                /* a frame of the TAP that does not go into the ring */
    uint8_t *cut;                  /* one wire frame of a frame that is being cut */
    uint8_t *arrived;              /* a frame that came out of the cable */
    struct device_waiting *waiting, **waiting_end;
    size_t waiting_bytes;
};

/* ---- Sending to the TAP ---- */

static void device_forget_waiting(struct device *device)
{
    while (device->waiting) {
        struct device_waiting *first = device->waiting;
        device->waiting = first->next;
        free(first);
    }
    device->waiting_end = &device->waiting;
    device->waiting_bytes = 0;
}

static bool device_all_gone(const struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->device_count; i++)
        if (!daemon->device[i]->gone)
            return false;
    return true;
}

static void device_gone(struct device *device)
{
    struct daemon *daemon = device->daemon;
    if (device->gone)
        return;
    device->gone = true;
    device->full = false;
    device_forget_waiting(device);
    log_error("device %s is gone", device->tap.name);
    loop_remove(&daemon->loop, &device->watch);
    if (device_all_gone(daemon))
        daemon->loop.stop = true;
}

static void device_wait(struct device *device, const struct frame *frame)
{
    size_t size = frame_size(frame);
    size_t bytes = sizeof(struct device_waiting) + size;
    struct device_waiting *waiting =
        device->waiting_bytes + bytes <= DEVICE_WAITING_MAX_BYTES ? malloc(bytes) : NULL;
    if (!waiting) {
        device->nic.counters.tx_dropped++;
        return;
    }
    frame_copy(frame, waiting->bytes);
    waiting->next = NULL;
    waiting->frame = *frame;
    waiting->frame.piece_count = 1;
    waiting->frame.piece[0] = (struct frame_piece){waiting->bytes, size};
    *device->waiting_end = waiting;
    device->waiting_end = &waiting->next;
    device->waiting_bytes += bytes;
}

/* Hands a frame to the TAP. Returns false when that is full. */
static bool device_write(struct device *device, const struct frame *frame)
{
    switch (tap_write(&device->tap, frame)) {
    case 0:
        return true;
    case TAP_AGAIN:
        device->full = true;
        loop_change(&device->daemon->loop, &device->watch, EPOLLIN | EPOLLOUT);
        return false;
    case TAP_GONE:
        device_gone(device);
        break;
    }
    device->nic.counters.tx_errors++;
    return true;
}

static void device_put(struct device *device, const struct frame *frame)
{
    if (device->gone)
        device->nic.counters.tx_carrier_errors++;
    else if (device->full || !device_write(device, frame))
        device_wait(device, frame);
}

/* The TAP is writable again. */
static void device_put_waiting(struct device *device)
{
    struct device_waiting *first;
    device->full = false;
    loop_change(&device->daemon->loop, &device->watch, EPOLLIN);
    while ((first = device->waiting) != NULL && device_write(device, &first->frame)) {
        if (device->gone)
            return;
        device->waiting = first->next;
        device->waiting_bytes -= sizeof *first + first->frame.piece[0].size;
        free(first);
    }
    if (!device->waiting)
        device->waiting_end = &device->waiting;
}

static bool device_can_send_whole(const struct device *device, const struct frame *frame)
{
    if (frame->segment_bytes != 0)
        return device->tap.offload == TAP_OFFLOAD_CHECKSUM_TSO;
    return !(frame->flags & FRAME_CHECKSUM_PARTIAL) || device->tap.offload != TAP_OFFLOAD_NONE;
}

/* The software half of the offload. */
static void device_put_cut(struct device *device, const struct frame *frame)
{
    struct frame wire = {.piece_count = 1};
    struct frame_splitter splitter;
    size_t size;
    frame_split_start(&splitter, frame);
    while ((size = frame_split_next(&splitter, device->cut, DEVICE_SLOT_BYTES)) > 0) {
        wire.piece[0] = (struct frame_piece){device->cut, size};
        device_put(device, &wire);
    }
}

/* ---- The cable ---- */

/* Takes the next frame that is due for the TAP at due_us out of the cable, its FCS checked and taken
   off: what was damaged ends here, as in the far card; the cable's counters have told of it. Returns
   false when there is none. */
static bool device_serve_one_outbound(struct device *device, uint64_t due_us)
{
    size_t fcs_bytes = device->nic.carries_fcs ? FCS_BYTES : 0;
    struct frame frame = {.piece_count = 1};
    size_t size =
        cable_receive(device->cable[DEVICE_OUT], device->arrived, DEVICE_SLOT_BYTES, due_us);
    if (size == 0)
        return false;
    if (fcs_bytes > 0 && !fcs_check(device->arrived, size))
        return true;
    frame.piece[0] = (struct frame_piece){device->arrived, size - fcs_bytes};
    device_put(device, &frame);
    return true;
}

static void device_serve_outbound(struct device *device)
{
    while (!device->full && device_serve_one_outbound(device, device->daemon->loop.now_us))
        ;
}

static uint8_t *device_slot_memory(const struct frame *slot)
{
    return (uint8_t *)(uintptr_t)slot->piece[0].data;
}

/* The driver's half of the card, and S17's answer to the interrupt: good frames of the ring go to
   the stack, or over the bridge. */
static void device_poll_card(struct device *device)
{
    struct daemon *daemon = device->daemon;
    struct frame *frame;
    nic_poll_start(&device->nic);
    while ((frame = nic_poll(&device->nic)) != NULL) {
        capture_frame(daemon->capture, frame, PCAPNG_INBOUND);
        if (device->peer) {
            frame->interface = (uint16_t)device->peer->index;
            device_send(device->peer, frame);
        } else {
            nic_untag(frame);
            stack_input(daemon->stack, frame, daemon->loop.now_us);
        }
    }
}

static void device_serve_inbound(struct device *device, uint64_t due_us)
{
    struct frame *slot;
    size_t size;
    do {
        size = 0;
        while ((slot = nic_ring_slot(&device->nic)) != NULL &&
               (size = cable_receive(device->cable[DEVICE_IN], device_slot_memory(slot),
                                     DEVICE_SLOT_BYTES, due_us)) > 0)
            nic_ring_push(&device->nic, size);
        if (device->nic.raised)
            device_poll_card(device);
    } while (size > 0 || !slot);
}

/* Puts a frame into the cable as it would be on a wire, and takes out what arrives at once: a batch
   is larger than the cable's queue. */
static void device_send_by_cable(struct device *device, int direction, const struct frame *frame)
{
    uint64_t now_us = device->daemon->loop.now_us;
    struct frame_splitter splitter;
    size_t size;
    frame_split_start(&splitter, frame);
    while ((size = frame_split_next(&splitter, device->cut, DEVICE_SLOT_BYTES)) > 0) {
        if (device->nic.carries_fcs)
            size = ethernet_pad(device->cut, size);
        cable_send(device->cable[direction], device->cut, size, now_us);
    }
    if (direction == DEVICE_IN)
        device_serve_inbound(device, now_us);
    else
        device_serve_outbound(device);
}

/* Empties the ring, whatever the budget. */
static void device_drain_ring(struct device *device)
{
    while (device->nic.raised)
        device_poll_card(device);
}

static void cable_counters_add(struct cable_counters *sum, const struct cable_counters *more)
{
#define COUNTER_ADD(field, name, what) sum->field += more->field;
    CABLE_COUNTERS(COUNTER_ADD)
#undef COUNTER_ADD
}

void device_cable_totals(const struct device *device, int direction, struct cable_counters *totals)
{
    *totals = device->past[direction];
    if (device->cable[direction])
        cable_counters_add(totals, cable_counters(device->cable[direction]));
}

/* ", matched 12, lost 3": the counters that are not zero. */
static void ended_text(const struct cable_rule_counters *did, char *text, size_t capacity)
{
    size_t used = 0;
    text[0] = '\0';
#define COUNTER_TELL(field, name, what)                                                            \
    if (did->field > 0 && used < capacity)                                                         \
        used += (size_t)snprintf(text + used, capacity - used, ", %s %llu", name,                  \
                                 (unsigned long long)did->field);
    CABLE_RULE_COUNTERS(COUNTER_TELL)
#undef COUNTER_TELL
}

/* The log keeps what rules have done that are no longer there to be asked. */
static void device_tell_ended(struct device *device)
{
    static const char *const names[] = {[DEVICE_IN] = "in", [DEVICE_OUT] = "out"};
    struct cable_ended ended;
    char text[DEVICE_ENDED_TEXT_MAX];
    for (int i = 0; i < 2; i++) {
        while (cable_next_ended(device->cable[i], &ended)) {
            ended_text(&ended.did, text, sizeof text);
            log_info("%s: impairment %u, %s, is over%s", device->tap.name, (unsigned)ended.id,
                     names[i], text);
        }
    }
}

void device_cable_remove(struct device *device)
{
    device_drain_ring(device);
    if (!device->cable[DEVICE_IN])
        return;
    device_serve_inbound(device, UINT64_MAX);
    while (device_serve_one_outbound(device, UINT64_MAX))
        ; /* what finds the TAP full waits there */
    device_tell_ended(device);
    for (int i = 0; i < 2; i++) {
        cable_counters_add(&device->past[i], cable_counters(device->cable[i]));
        cable_destroy(device->cable[i]);
        device->cable[i] = NULL;
    }
    device->nic.carries_fcs = false;
}

int device_cable_insert(struct device *device, const struct cable_settings *settings, uint64_t seed)
{
    struct cable *cable[2];
    for (int i = 0; i < 2; i++)
        cable[i] = cable_create(settings, seed + (uint64_t)i, &heap_memory);
    if (!cable[DEVICE_IN] || !cable[DEVICE_OUT]) {
        cable_destroy(cable[DEVICE_IN]);
        cable_destroy(cable[DEVICE_OUT]);
        return -ENOMEM;
    }
    device_cable_remove(device);
    memcpy(device->cable, cable, sizeof cable);
    if (!device->config->bridged) {
        cable_set_exempt(cable[DEVICE_IN], &device->daemon->exempt, MATCH_DESTINATION);
        cable_set_exempt(cable[DEVICE_OUT], &device->daemon->exempt, MATCH_SOURCE);
    }
    device->nic.carries_fcs = settings->fcs;
    return 0;
}

static int device_add_rule(struct device *device, const struct impair_line *line, uint32_t number)
{
    static const enum impair_direction names[] = {
        [DEVICE_IN] = IMPAIR_IN, [DEVICE_OUT] = IMPAIR_OUT};
    for (int i = 0; i < 2; i++) {
        if (!(line->direction & names[i]))
            continue;
        if (cable_rule_count(device->cable[i]) >= CABLE_RULES_MAX)
            return -ENOSPC;
        if (cable_add_rule(device->cable[i], number, &line->impairment,
                           device->daemon->loop.now_us) < 0)
            return -ENOMEM;
    }
    return 0;
}

int device_impair(struct device *device, const struct impair_line *lines, unsigned count)
{
    const struct config_interface *config = device->config;
    int error = 0;
    if (!device->cable[DEVICE_IN])
        error = device_cable_insert(device, &config->cable, config->cable_seed);
    uint32_t number = device->rules + 1;
    for (unsigned i = 0; i < count && error == 0; i++)
        error = device_add_rule(device, &lines[i], number);
    if (error != 0) {
        device_unimpair(device, number);
        return error;
    }
    device->rules = number;
    return (int)number;
}

int device_unimpair(struct device *device, uint32_t number)
{
    int removed = 0;
    for (int i = 0; i < 2; i++)
        if (device->cable[i] && cable_remove_rule(device->cable[i], number) == 0)
            removed++;
    return removed > 0 ? 0 : -ENOENT;
}

/* A cable that is there for its rules alone goes with them: the way of whole super-frames, without
   a copy, is open again. */
static void device_retire_cable(struct device *device)
{
    struct cable_load load;
    if (device->config->cable_present)
        return;
    for (int i = 0; i < 2; i++) {
        if (cable_rule_count(device->cable[i]) > 0)
            return;
        cable_load(device->cable[i], &load);
        if (load.frames > 0)
            return;
    }
    device_cable_remove(device);
    log_info("%s: no impairment is left, the cable is taken out", device->tap.name);
}

/* ---- Sending ---- */

void device_send(struct device *device, const struct frame *frame)
{
    struct frame tagged;
    if (device->gone || device->down) {
        device->nic.counters.tx_carrier_errors++;
        return;
    }
    frame = nic_tag(&device->nic, frame, &tagged);
    capture_frame(device->daemon->capture, frame, PCAPNG_OUTBOUND);
    device->nic.counters.tx_packets++;
    device->nic.counters.tx_bytes += frame_size(frame);
    if (device->cable[DEVICE_OUT])
        device_send_by_cable(device, DEVICE_OUT, frame);
    else if (device_can_send_whole(device, frame))
        device_put(device, frame);
    else
        device_put_cut(device, frame);
}

bool device_has_room(const struct device *device) { return !device->full && !device->gone; }

/* ---- Receiving ---- */

/* Reads the next frame into the ring; into thin air where that is full, for a wire does not wait.
   Returns its size or what tap_read says. */
static int device_read_to_ring(struct device *device)
{
    struct frame missed = {.piece_count = 1};
    struct frame *slot = nic_ring_slot(&device->nic);
    uint8_t *memory = slot ? device_slot_memory(slot) : device->whole;
    int size = tap_read(&device->tap, slot ? slot : &missed, memory, DEVICE_SLOT_BYTES);
    if (size >= 0 && slot)
        nic_ring_push(&device->nic, (size_t)size);
    else if (size >= 0)
        device->nic.counters.rx_missed++;
    return size;
}

/* Reads the next frame into the cable. Returns its size or what tap_read says. */
static int device_read_to_cable(struct device *device)
{
    struct frame frame = {.interface = (uint16_t)device->index, .piece_count = 1};
    int size = tap_read(&device->tap, &frame, device->whole, DEVICE_SLOT_BYTES);
    if (size >= 0) {
        frame.piece[0] = (struct frame_piece){device->whole, (size_t)size};
        device_send_by_cable(device, DEVICE_IN, &frame);
    }
    return size;
}

/* Reads the next frame and throws it away: what was sent before the host saw the carrier go. */
static int device_read_to_nobody(struct device *device)
{
    struct frame frame = {.piece_count = 1};
    int size = tap_read(&device->tap, &frame, device->whole, DEVICE_SLOT_BYTES);
    if (size >= 0) {
        device->nic.counters.rx_down++;
        device->nic.counters.rx_dropped++;
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
    unsigned most = device_expects_one(device) ? 1 : DEVICE_BATCH_FRAMES;
    unsigned frames = 0;
    size_t bytes = 0;

    while (frames < most && bytes < DEVICE_BATCH_BYTES) {
        int size = device->down               ? device_read_to_nobody(device)
                   : device->cable[DEVICE_IN] ? device_read_to_cable(device)
                                              : device_read_to_ring(device);
        if (size == TAP_AGAIN)
            break;
        if (size == TAP_GONE) {
            device_gone(device);
            break;
        }
        frames++;
        if (size == TAP_REFUSED) {
            device->nic.counters.rx_frame_errors++;
            device->nic.counters.rx_errors++;
        } else {
            bytes += (size_t)size;
        }
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
    if (events & EPOLLOUT)
        device_put_waiting(device);
    if ((events & EPOLLIN) && !device->gone)
        device_read_batch(device);
}

/* Fills the card's filter with the stack's groups, and that of all hosts (RFC 1112, 7.2). */
static void device_filter_groups(struct device *device)
{
    const struct stack *stack = device->daemon->stack;
    struct mac_address mac = mac_address_from_group(0xe0000001);
    struct stack_group group;
    uint32_t cursor = 0;
    nic_leave_all(&device->nic);
    nic_join(&device->nic, &mac);
    while (stack_next_group(stack, &cursor, &group)) {
        mac = mac_address_from_group(group.v4);
        if (group.interface == device->index)
            nic_join(&device->nic, &mac);
    }
    device->groups = stack_group_generation(stack);
}

bool device_serve(struct device *device)
{
    if (device->groups != stack_group_generation(device->daemon->stack))
        device_filter_groups(device);
    if (device->cable[DEVICE_IN]) {
        device_serve_inbound(device, device->daemon->loop.now_us);
        device_serve_outbound(device);
        device_tell_ended(device);
        device_retire_cable(device);
    }
    if (device->nic.raised)
        device_poll_card(device);
    return device->nic.raised;
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

static void *device_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* Huge pages would make the whole ring resident with the first frame. */
    madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

static int device_map_buffers(struct device *device)
{
    device->buffers = device_map(DEVICE_BUFFERS * DEVICE_SLOT_BYTES);
    if (!device->buffers)
        return -1;
    device->whole = device->buffers;
    device->cut = device->whole + DEVICE_SLOT_BYTES;
    device->arrived = device->cut + DEVICE_SLOT_BYTES;
    return 0;
}

static void device_release_ring(struct device *device)
{
    if (device->nic.memory)
        munmap(device->nic.memory, (size_t)device->nic.slot_count * DEVICE_SLOT_BYTES);
    free(device->nic.slots);
}

int device_set_ring(struct device *device, uint32_t slot_count)
{
    struct nic_slot *slots = calloc(slot_count, sizeof *slots);
    uint8_t *memory = slots ? device_map((size_t)slot_count * DEVICE_SLOT_BYTES) : NULL;
    if (!memory) {
        free(slots);
        return -ENOMEM;
    }
    device_drain_ring(device);
    device_release_ring(device);
    nic_set_ring(&device->nic, memory, slots, slot_count, DEVICE_SLOT_BYTES);
    return 0;
}

static int device_build_card(struct device *device)
{
    const struct config_interface *config = device->config;
    if (device_map_buffers(device) < 0 || device_set_ring(device, config->ring_slots) < 0)
        return -ENOMEM;
    device->nic.mac = config->mac;
    device->nic.interface = (uint16_t)device->index;
    device->nic.mtu_bytes = config->mtu_bytes;
    device->nic.vlan = config->vlan;
    device->nic.transparent = config->bridged;
    device_configure(device);
    if (config->cable_present &&
        device_cable_insert(device, &config->cable, config->cable_seed) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < config->impair_count; i++)
        if (device_impair(device, &config->impair[i], 1) < 0)
            return -ENOMEM;
    return 0;
}

struct device *device_create(struct daemon *daemon, unsigned index, const struct tap *tap)
{
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    device->daemon = daemon;
    device->index = index;
    device->config = &daemon->config.interface[index];
    device->tap = *tap;
    device->groups = UINT64_MAX; /* the filter is of no list yet */
    device->waiting_end = &device->waiting;
    device->watch = (struct loop_watch){device->tap.fd, EPOLLIN, device_ready};
    if (device_build_card(device) < 0 || loop_add(&daemon->loop, &device->watch) < 0) {
        device->gone = true; /* the watch is not in the loop, the TAP stays the caller's */
        device->tap.fd = -1;
        device_destroy(device);
        return NULL;
    }
    return device;
}

void device_destroy(struct device *device)
{
    if (!device)
        return;
    if (!device->gone)
        loop_remove(&device->daemon->loop, &device->watch);
    if (device->tap.fd >= 0)
        tap_close(&device->tap);
    for (int i = 0; i < 2; i++)
        cable_destroy(device->cable[i]);
    device_forget_waiting(device);
    device_release_ring(device);
    if (device->buffers)
        munmap(device->buffers, DEVICE_BUFFERS * DEVICE_SLOT_BYTES);
    free(device);
}

void device_join(struct device *a, struct device *b)
{
    a->peer = b;
    b->peer = a;
}

/* ---- Changing it ---- */

void device_configure(struct device *device)
{
    const struct config_interface *config = device->config;
    device->nic.promiscuous = config->promiscuous;
    device->nic.allmulti = config->allmulti;
    device->nic.budget = config->budget_frames;
    if (config->ring_slots != device->nic.slot_count &&
        device_set_ring(device, config->ring_slots) < 0)
        log_warning("%s: no memory for a ring of %u", device->tap.name,
                    (unsigned)config->ring_slots);
    for (int i = 0; i < 2; i++)
        if (device->cable[i])
            cable_configure(device->cable[i], &config->cable);
}

int device_set_up(struct device *device, bool up)
{
    if (device->gone)
        return -ENODEV;
    int result = tap_set_carrier(&device->tap, up);
    if (result == 0)
        device->down = !up;
    return result;
}

/* ---- Looking in ---- */

void device_describe(const struct device *device, struct stack_interface_config *interface)
{
    bool cable = device->cable[DEVICE_IN] != NULL; /* which does itself what an offload would */
    *interface = (struct stack_interface_config){
        .mac = device->nic.mac,
        .mtu_bytes = device->nic.mtu_bytes,
        .address_v4 = device->config->address_v4,
        .prefix_bits = device->config->prefix_bits,
        .proxy_arp = device->config->proxy_arp,
        .checksum_offload = cable || device->tap.offload != TAP_OFFLOAD_NONE,
        .segment_max_bytes =
            cable || device->tap.offload == TAP_OFFLOAD_CHECKSUM_TSO ? DEVICE_SEGMENT_MAX_BYTES : 0,
    };
    memcpy(interface->name, device->tap.name, sizeof interface->name);
}

struct nic *device_nic(struct device *device) { return &device->nic; }

struct cable *device_cable(struct device *device, int direction)
{
    return device->cable[direction];
}

const char *device_name(const struct device *device) { return device->tap.name; }

const char *device_offload(const struct device *device) { return device->tap.offload_text; }

bool device_is_up(const struct device *device) { return !device->gone && !device->down; }

const struct device *device_peer(const struct device *device) { return device->peer; }
