//! The imported functions, and nothing else: the one file with raw pointers.

mod perigee {
    #[link(wasm_import_module = "perigee")]
    extern "C" {
        /// Starts an actor of the class named by `name_ptr` and `name_len`. `link`: a link's tag, or 0 for no link.
        ///
        /// Returns 0 with the actor's id at `id_out`, or 1 with the id of an error there.
        pub fn spawn(name_ptr: *const u8, name_len: usize, link: i64, id_out: *mut u64) -> u32;
    }
}

mod error {
    #[link(wasm_import_module = "lunatic::error")]
    extern "C" {
        /// Length of the error's text in bytes.
        pub fn string_size(id: u64) -> u32;
        /// Writes exactly that many bytes.
        pub fn to_string(id: u64, text_ptr: *mut u8);
        /// Forgets the error.
        pub fn drop(id: u64);
    }
}

/// The new actor's id, or the id of an error for [`take_error`].
pub(crate) fn spawn(class: &str, link: i64) -> Result<u64, u64> {
    let mut id = 0;
    // SAFETY: the host reads `class.len()` bytes and writes one u64, both of which this frame owns.
    match unsafe { perigee::spawn(class.as_ptr(), class.len(), link, &mut id) } {
        0 => Ok(id),
        _ => Err(id),
    }
}

/// The text of an error, which is dropped on the host's side.
pub(crate) fn take_error(id: u64) -> String {
    // SAFETY: the host writes exactly as many bytes as it said; `id` came from it and is used for the last time.
    let text = unsafe {
        let mut text = vec![0; error::string_size(id) as usize];
        error::to_string(id, text.as_mut_ptr());
        error::drop(id);
        text
    };
    String::from_utf8_lossy(&text).into_owned()
}
