// CRC-32 with the reflected polynomial 0xEDB88320, four bits at a time: a table of 16 entries is enough here.
#include "crc32.h"

static uint32_t nibble(uint32_t value) {
    for (int bit = 0; bit < 4; bit++) value = (value >> 1) ^ (0xEDB88320u & (0u - (value & 1u)));
    return value;
}

uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t length) {
    uint32_t table[16];
    for (uint32_t index = 0; index < 16; index++) table[index] = nibble(index);
    crc = ~crc;
    for (size_t index = 0; index < length; index++) {
        crc ^= bytes[index];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}
