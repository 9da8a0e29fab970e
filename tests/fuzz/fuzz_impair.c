/* Fuzzes impairments as text: what is read is written, and reads to the same line again; and a cable
   with such a rule takes frames and gives them back, none lost without being counted. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/link/cable.h"
#include "../../tapstack/link/impair_text.h"
#include "../../tapstack/wire/fcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES = 64, FRAME_BYTES = 120 };

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static void round_trip(const struct impair_line *line)
{
    struct impair_line again[IMPAIR_LINES_MAX];
    struct impair_error error;
    char text[IMPAIR_TEXT_MAX];
    size_t length = impair_text_format(line, text);
    require(length < IMPAIR_TEXT_MAX - 1 && length == strlen(text));
    require(impair_text_parse(text, again, &error) == 1);
    require(memcmp(line, &again[0], sizeof *line) == 0);
}

static void run(const struct impairment *impairment, const uint8_t *data, size_t size)
{
    static const struct memory memory = {allocate, release, NULL};
    static const struct cable_settings settings = {.fcs = true};
    uint8_t bytes[FRAME_BYTES + FCS_BYTES] = {0};
    struct cable *cable = cable_create(&settings, size, &memory);
    struct cable_load load;
    require(cable != NULL && cable_add_rule(cable, 1, impairment, 0) == 0);
    for (uint64_t n = 0; n < FRAMES; n++) {
        memcpy(bytes, data, size < FRAME_BYTES ? size : FRAME_BYTES);
        cable_send(cable, bytes, FRAME_BYTES, n * 100);
        while (n % 4 == 0 && cable_receive(cable, bytes, sizeof bytes, n * 100) > 0)
            require(cable_deadline(cable) >= n * 100 || cable_deadline(cable) != UINT64_MAX);
    }
    cable_load(cable, &load);
    const struct cable_counters *c = cable_counters(cable);
    require(c->frames_in + c->duplicated == c->frames_out + load.frames + c->lost + c->blackholed +
                                                c->oversize + c->overrun + c->early);
    cable_destroy(cable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error = {0};
    char text[512];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    int count = impair_text_parse(text, lines, &error);
    if (count < 0) {
        require(error.column >= 1 && error.column <= strlen(text) + 1);
        require(error.message[0] != '\0' && strlen(error.message) < sizeof error.message);
        return 0;
    }
    require(count <= IMPAIR_LINES_MAX);
    for (int i = 0; i < count; i++) {
        round_trip(&lines[i]);
        run(&lines[i].impairment, data, size);
    }
    return 0;
}
