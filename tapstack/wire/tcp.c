/* The TCP header and its options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018). */
#include "tcp.h"

#include "bytes.h"
#include "checksum.h"
#include "ipv4.h"
#include "tcp_option.h"

/* Does the option have the length that its kind asks for? Unknown kinds may have any. */
static bool option_length_fits(uint8_t kind, size_t length)
{
    switch (kind) {
    case TCP_KIND_MSS:
        return length == TCP_MSS_BYTES;
    case TCP_KIND_WINDOW_SCALE:
        return length == TCP_WINDOW_SCALE_BYTES;
    case TCP_KIND_SACK_PERMITTED:
        return length == TCP_SACK_PERMITTED_BYTES;
    case TCP_KIND_SACK:
        return length > 2 && (length - 2) % 8 == 0 && (length - 2) / 8 <= TCP_SACK_BLOCKS_MAX;
    case TCP_KIND_TIMESTAMPS:
        return length == TCP_TIMESTAMPS_BYTES;
    default:
        return true;
    }
}

size_t tcp_option_length(const uint8_t *at, const uint8_t *end, bool *fits)
{
    *fits = true;
    if (at[0] == TCP_KIND_END || at[0] == TCP_KIND_NOP)
        return 1;
    if (end - at < 2 || at[1] < 2 || at[1] > end - at)
        return 0;
    *fits = option_length_fits(at[0], at[1]);
    return at[1];
}

static void parse_timestamps(const uint8_t *at, struct tcp_header *header)
{
    header->options_present |= TCP_OPTION_TIMESTAMPS;
    header->timestamp_value = bytes_get32(at + 2);
    header->timestamp_echo = bytes_get32(at + 6);
}

static void parse_sack(const uint8_t *at, struct tcp_header *header)
{
    header->options_present |= TCP_OPTION_SACK;
    header->sack_count = (uint8_t)((at[1] - 2) / 8);
    for (unsigned i = 0; i < header->sack_count; i++) {
        header->sack[i].left = bytes_get32(at + 2 + 8 * i);
        header->sack[i].right = bytes_get32(at + 6 + 8 * i);
    }
}

/* The options that are an offer, and mean nothing once the connection stands. */
static void parse_syn_option(const uint8_t *at, struct tcp_header *header)
{
    switch (at[0]) {
    case TCP_KIND_MSS:
        header->options_present |= TCP_OPTION_MSS;
        header->mss = bytes_get16(at + 2);
        break;
    case TCP_KIND_WINDOW_SCALE:
        header->options_present |= TCP_OPTION_WINDOW_SCALE;
        header->window_scale = at[2];
        break;
    case TCP_KIND_SACK_PERMITTED:
        header->options_present |= TCP_OPTION_SACK_PERMITTED;
        break;
    }
}

static void parse_option(const uint8_t *at, struct tcp_header *header)
{
    if (at[0] == TCP_KIND_TIMESTAMPS)
        parse_timestamps(at, header);
    else if (at[0] == TCP_KIND_SACK)
        parse_sack(at, header);
    else if (header->flags & TCP_SYN)
        parse_syn_option(at, header);
}

/* A length that leads nowhere ends the walk; a known kind of the wrong size is passed over. */
static void parse_options(const uint8_t *at, const uint8_t *end, struct tcp_header *header)
{
    while (at < end && *at != TCP_KIND_END) {
        bool fits;
        size_t length = tcp_option_length(at, end, &fits);
        if (length == 0 || !fits)
            header->options_present |= TCP_OPTION_MALFORMED;
        if (length == 0)
            return;
        if (fits)
            parse_option(at, header);
        at += length;
    }
}

int tcp_parse(const uint8_t *bytes, size_t size, struct tcp_header *header)
{
    if (size < TCP_HEADER_BYTES)
        return TCP_TRUNCATED;
    size_t header_bytes = (bytes[12] >> 4) * 4U;
    if (header_bytes < TCP_HEADER_BYTES || header_bytes > size)
        return TCP_BAD_DATA_OFFSET;
    *header = (struct tcp_header){
        .source_port = bytes_get16(bytes),
        .destination_port = bytes_get16(bytes + 2),
        .sequence = bytes_get32(bytes + 4),
        .acknowledgment = bytes_get32(bytes + 8),
        .window = bytes_get16(bytes + 14),
        .urgent_pointer = bytes_get16(bytes + 18),
        .flags = bytes[13],
        .header_bytes = (uint8_t)header_bytes,
    };
    /* Nearly every segment of a standing connection holds these twelve bytes and no others. */
    if (header_bytes == TCP_HEADER_BYTES + 12 && bytes_get32(bytes + 20) == TCP_NOP_NOP_TIMESTAMPS)
        parse_timestamps(bytes + 22, header);
    else
        parse_options(bytes + TCP_HEADER_BYTES, bytes + header_bytes, header);
    return 0;
}

int tcp_verify(const uint8_t *bytes, size_t size, const struct ip_address *source,
               const struct ip_address *destination)
{
    uint32_t sum = checksum_add_pseudo(0, source, destination, IPV4_PROTOCOL_TCP, size);
    return checksum_finish(checksum_add(sum, bytes, size)) == 0 ? 0 : TCP_BAD_CHECKSUM;
}

/* The write_ functions take the place for an option and return the place behind it. */

static uint8_t *write_word(uint8_t *at, uint32_t word)
{
    bytes_put32(at, word);
    return at + 4;
}

static uint8_t *write_timestamps(const struct tcp_header *header, uint8_t *at)
{
    at = write_word(at, header->timestamp_value);
    return write_word(at, header->timestamp_echo);
}

static uint8_t *write_syn_options(const struct tcp_header *header, uint8_t *at)
{
    unsigned present = header->options_present;
    if (present & TCP_OPTION_MSS)
        at = write_word(at, TCP_MSS_WORD | header->mss);
    if (present & TCP_OPTION_TIMESTAMPS) {
        bool both = present & TCP_OPTION_SACK_PERMITTED;
        at = write_word(at, both ? TCP_SACK_PERMITTED_TIMESTAMPS : TCP_NOP_NOP_TIMESTAMPS);
        at = write_timestamps(header, at);
    } else if (present & TCP_OPTION_SACK_PERMITTED) {
        at = write_word(at, TCP_NOP_NOP_SACK_PERMITTED);
    }
    if (present & TCP_OPTION_WINDOW_SCALE)
        at = write_word(at, TCP_NOP_WINDOW_SCALE_WORD | header->window_scale);
    return at;
}

static uint8_t *write_sack(const struct tcp_header *header, uint8_t *at, const uint8_t *end)
{
    size_t room = (size_t)(end - at - 4) / 8;
    size_t count = header->sack_count < room ? header->sack_count : room;
    if (count > TCP_SACK_BLOCKS_MAX)
        count = TCP_SACK_BLOCKS_MAX;
    at = write_word(at, TCP_NOP_NOP_SACK_WORD | (uint32_t)(2 + 8 * count));
    for (size_t i = 0; i < count; i++) {
        at = write_word(at, header->sack[i].left);
        at = write_word(at, header->sack[i].right);
    }
    return at;
}

static uint8_t *write_options(const struct tcp_header *header, uint8_t *at, const uint8_t *end)
{
    if (header->flags & TCP_SYN)
        return write_syn_options(header, at);
    if (header->options_present & TCP_OPTION_TIMESTAMPS) {
        at = write_word(at, TCP_NOP_NOP_TIMESTAMPS);
        at = write_timestamps(header, at);
    }
    if (header->options_present & TCP_OPTION_SACK && header->sack_count > 0)
        at = write_sack(header, at, end);
    return at;
}

size_t tcp_write(struct tcp_header *header, uint8_t *bytes)
{
    bytes_put16(bytes, header->source_port);
    bytes_put16(bytes + 2, header->destination_port);
    bytes_put32(bytes + 4, header->sequence);
    bytes_put32(bytes + 8, header->acknowledgment);
    bytes[13] = header->flags;
    bytes_put16(bytes + 14, header->window);
    bytes_put16(bytes + 16, 0);
    bytes_put16(bytes + 18, header->urgent_pointer);
    const uint8_t *end = write_options(header, bytes + TCP_HEADER_BYTES, bytes + TCP_HEADER_MAX);
    header->header_bytes = (uint8_t)(end - bytes);
    bytes[12] = (uint8_t)(header->header_bytes / 4 << 4);
    return header->header_bytes;
}
