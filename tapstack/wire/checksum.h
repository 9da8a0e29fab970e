/* The Internet checksum of RFC 1071, over pieces of any length. */
#ifndef TAPSTACK_WIRE_CHECKSUM_H
#define TAPSTACK_WIRE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "address.h"

/* Adds size bytes of data to a running sum and returns the new one (not yet folded, not yet
   complemented). Every piece but the last must have an even size; see checksum_add_at. */
uint32_t checksum_add(uint32_t sum, const void *data, size_t size);

/* The same for a piece that starts offset bytes into the summed string: an odd offset swaps. */
uint32_t checksum_add_at(uint32_t sum, const void *data, size_t size, size_t offset);

/* The pseudo header of RFC 9293, 3.1 and RFC 768. length: bytes of the TCP or UDP message. */
uint32_t checksum_add_pseudo(uint32_t sum, const struct ip_address *source,
                             const struct ip_address *destination, uint8_t protocol, size_t length);

/* Folds to 16 bits, without complement: what a device expects in the field of a partial sum. */
uint16_t checksum_fold(uint32_t sum);

/* Folds and complements: the value of a checksum field, host order. Over a message that holds its
   right checksum it gives 0. */
uint16_t checksum_finish(uint32_t sum);

#endif
