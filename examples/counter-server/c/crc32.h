#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

// Continues the CRC-32 (that of zip and PNG) `crc` over more bytes. Start with 0.
uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t length);

#endif
