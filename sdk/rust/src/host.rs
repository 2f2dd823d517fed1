//! The imported functions, and nothing else: the one file with raw pointers.

use std::sync::atomic::{AtomicBool, Ordering};

/// Results of a receive.
pub(crate) const MESSAGE: u32 = 0;
pub(crate) const LINK_DIED: u32 = 1;
const TIMED_OUT: u32 = 9027;

/// What came, as the host writes it.
#[repr(C)]
#[derive(Default)]
pub(crate) struct About {
    /// The message's tag, or that of the link, or the id of the actor that ended.
    pub(crate) tag_or_id: u64,
    bytes: u32,
    /// How many more have come, at the least.
    more: u32,
}

mod perigee {
    use super::About;

    #[link(wasm_import_module = "perigee")]
    extern "C" {
        /// Starts an actor of the class named by `name_ptr` and `name_len`. `link`: a link's tag, or 0 for no link.
        ///
        /// Returns 0 with the actor's id at `id_out`, or 1 with the id of an error there.
        pub fn spawn(name_ptr: *const u8, name_len: usize, link: i64, id_out: *mut u64) -> u32;
        /// Keeps the message that was written last, which comes to this actor when the app stops.
        pub fn on_shutdown();
        /// Sends these bytes, or returns 1 because the mailbox is full.
        pub fn try_send(actor: u64, tag: i64, bytes_ptr: *const u8, bytes_len: usize) -> u32;
        /// Sends these bytes; waits while the mailbox is full.
        pub fn send(actor: u64, tag: i64, bytes_ptr: *const u8, bytes_len: usize);
        /// Receives what has come, as `receive` does.
        pub fn try_receive(
            tags_ptr: *const i64,
            tags_len: usize,
            room_ptr: *mut u8,
            room_len: usize,
            about: *mut About,
        ) -> u32;
        /// Waits for a message with one of the tags, no tags: for any. Writes as many of its bytes as there is room for.
        pub fn receive(
            tags_ptr: *const i64,
            tags_len: usize,
            timeout_ms: u64,
            room_ptr: *mut u8,
            room_len: usize,
            about: *mut About,
        ) -> u32;
    }
}

mod process {
    #[link(wasm_import_module = "lunatic::process")]
    extern "C" {
        /// The id of the caller.
        pub fn process_id() -> u64;
    }
}

mod message {
    #[link(wasm_import_module = "lunatic::message")]
    extern "C" {
        /// Starts a message.
        pub fn create_data(tag: i64, capacity: u64);
        /// Waits for a message with one of the tags.
        pub fn receive(tags_ptr: *const i64, tags_len: usize, timeout_ms: u64) -> u32;
        /// Reads on in what was received last.
        pub fn read_data(bytes_ptr: *mut u8, bytes_len: usize) -> u32;
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

/// The caller's id.
pub(crate) fn this() -> u64 {
    // SAFETY: no memory is involved.
    unsafe { process::process_id() }
}

pub(crate) fn send(actor: u64, tag: i64, bytes: &[u8]) {
    let (ptr, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the host reads `bytes`, before it returns.
    unsafe {
        // A call that may wait costs more than one that does not.
        if perigee::try_send(actor, tag, ptr, len) != 0 {
            perigee::send(actor, tag, ptr, len);
        }
    }
}

/// Whether the last receive left something to receive.
static HAS_MORE: AtomicBool = AtomicBool::new(false);

/// Replaces `bytes` by what came. `None`: nothing did, in that many milliseconds.
pub(crate) fn receive(tags: &[i64], timeout_ms: u64, bytes: &mut Vec<u8>) -> Option<(u32, About)> {
    bytes.clear();
    let (room, room_len) = (bytes.as_mut_ptr(), bytes.capacity());
    let mut about = About::default();
    let mut kind = TIMED_OUT;
    // SAFETY: the host reads the tags, and writes to no more than that room and `about`, before it returns.
    unsafe {
        // A call that may wait costs more than one that does not, but less than both.
        if timeout_ms == 0 || HAS_MORE.load(Ordering::Relaxed) {
            kind = perigee::try_receive(tags.as_ptr(), tags.len(), room, room_len, &mut about);
        }
        if kind == TIMED_OUT && timeout_ms > 0 {
            kind = perigee::receive(tags.as_ptr(), tags.len(), timeout_ms, room, room_len, &mut about);
        }
    }
    HAS_MORE.store(about.more > 0, Ordering::Relaxed);
    match kind {
        TIMED_OUT => return None,
        MESSAGE => {}
        _ => return Some((kind, about)),
    }
    let (len, written) = (about.bytes as usize, room_len.min(about.bytes as usize));
    // SAFETY: so many bytes of the capacity were written.
    unsafe { bytes.set_len(written) };
    if written < len {
        bytes.resize(len, 0);
        let rest = &mut bytes[written..];
        // SAFETY: the host writes to `rest` alone: what it has kept of the message is as long.
        unsafe { message::read_data(rest.as_mut_ptr(), rest.len()) };
    }
    Some((kind, about))
}
