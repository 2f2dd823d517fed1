//! The C library as a safe function.

mod c {
    extern "C" {
        pub fn crc32_update(crc: u32, bytes: *const u8, length: usize) -> u32;
    }
}

/// Continues the CRC-32 `crc` over more bytes. Start with 0.
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: the C function reads `length` bytes from the pointer and keeps neither.
    unsafe { c::crc32_update(crc, bytes.as_ptr(), bytes.len()) }
}
