//! The imported functions, and nothing else: the one file with raw pointers.

mod perigee {
    #[link(wasm_import_module = "perigee")]
    extern "C" {
        /// Starts an actor of the class named by `name_ptr` and `name_len`. `link`: a link's tag, or 0 for no link.
        ///
        /// Returns 0 with the actor's id at `id_out`, or 1 with the id of an error there.
        pub fn spawn(name_ptr: *const u8, name_len: usize, link: i64, id_out: *mut u64) -> u32;
        /// Keeps the message that was written last, which comes to this actor when the app stops.
        pub fn on_shutdown();
    }
}

mod message {
    #[link(wasm_import_module = "lunatic::message")]
    extern "C" {
        /// Starts a message.
        pub fn create_data(tag: i64, capacity: u64);
        /// Waits for a message with one of the tags.
        pub fn receive(tags_ptr: *const i64, tags_len: usize, timeout_ms: u64) -> u32;
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

/// Keeps the message that was written last for the stop.
#[cfg(feature = "lunatic")]
pub(crate) fn keep_for_shutdown() {
    // SAFETY: no memory is involved.
    unsafe { perigee::on_shutdown() }
}

/// Asks for an empty message with that tag at the stop, and waits for it.
pub(crate) fn wait_for_shutdown(tag: i64) {
    // SAFETY: the host reads one tag, which this frame owns.
    unsafe {
        message::create_data(tag, 0);
        perigee::on_shutdown();
        message::receive(&tag, 1, u64::MAX);
    }
}
