/* Addresses as text, and back. */
#include "address.h"

#include "append.h"

static void format_v4(struct append *to, const uint8_t *octets)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            append_char(to, '.');
        append_decimal(to, octets[i]);
    }
}

/* All eight groups, none left out: the first form of RFC 4291, 2.2. */
static void format_v6(struct append *to, const uint8_t *octets)
{
    for (int i = 0; i < 16; i += 2) {
        if (i > 0)
            append_char(to, ':');
        append_hex(to, bytes_get16(octets + i), 4);
    }
}

int ip_address_format(const struct ip_address *address, char *text)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct append to = append_start(text, IP_ADDRESS_TEXT_MAX);
    if (ip_address_is_unspecified(address))
        append_char(&to, '*');
    else if (memcmp(address->octets, mapped, sizeof mapped) == 0)
        format_v4(&to, address->octets + 12);
    else
        format_v6(&to, address->octets);
    return (int)to.length;
}

/* Reads one number of a dotted quad. Returns what follows it, or NULL. A leading zero is refused,
   since some programs take it for octal. */
static const char *parse_octet(const char *text, uint32_t *octet)
{
    const char *at = text;
    *octet = 0;
    while (*at >= '0' && *at <= '9' && at - text < 3)
        *octet = *octet * 10 + (uint32_t)(*at++ - '0');
    if (at == text || *octet > 255 || (*text == '0' && at - text > 1))
        return NULL;
    return at;
}

int ip_address_parse(const char *text, struct ip_address *address)
{
    uint32_t v4 = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t octet;
        if (i > 0 && *text++ != '.')
            return -1;
        text = parse_octet(text, &octet);
        if (!text)
            return -1;
        v4 = v4 << 8 | octet;
    }
    if (*text)
        return -1;
    *address = ip_address_from_v4(v4);
    return 0;
}

int mac_address_format(const struct mac_address *mac, char *text)
{
    struct append to = append_start(text, MAC_ADDRESS_TEXT_MAX);
    for (int i = 0; i < MAC_ADDRESS_BYTES; i++) {
        if (i > 0)
            append_char(&to, ':');
        append_hex(&to, mac->octets[i], 2);
    }
    return (int)to.length;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int mac_address_parse(const char *text, struct mac_address *mac)
{
    struct mac_address result;
    for (int i = 0; i < MAC_ADDRESS_BYTES; i++) {
        if (i > 0 && *text++ != ':')
            return -1;
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return -1;
        result.octets[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return -1;
    *mac = result;
    return 0;
}
