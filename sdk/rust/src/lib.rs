//! What a Rust guest can ask of Perigee beyond crate `lunatic`: to spawn an actor of another class, by the class's name
//! in the app's manifest. Such an actor gets the limits and permissions of its own class, not of its parent.
//!
//! ```no_run
//! let cart = perigee::spawn("cart").expect("the manifest lets this class spawn \"cart\"");
//! println!("cart is actor {cart}");
//! ```
//!
//! With the feature `lunatic`, [`ActorId::process`] gives the `lunatic::Process` to send messages to.
//!
//! [`send`] and [`receive`] carry plain bytes, each in one call of the host: the fastest messages there are.
//!
//! [`wait_for_shutdown`] and [`on_shutdown`] let an actor end in its own way when the app stops.
//!
//! The crate needs nothing but Perigee's import module `perigee` and some functions of `lunatic::error`, `lunatic::message`
//! and `lunatic::process`.

mod host;
mod message;

use std::error::Error;
use std::fmt;
use std::num::NonZeroI64;

pub use message::{receive, receive_tagged, send, Received};

/// An actor's id, never 0, never used again within the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(u64);

impl ActorId {
    /// The caller.
    #[must_use]
    pub fn this() -> Self {
        Self(host::this())
    }

    /// The actor with that number, which may never have been one.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number, as other interfaces and `perigee ps` have it.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The actor as a process of crate `lunatic`, which takes messages of type `M`.
    ///
    /// `M` is the caller's promise: an actor that cannot decode a message panics.
    #[cfg(feature = "lunatic")]
    #[must_use]
    pub fn process<M>(self) -> lunatic::Process<M> {
        // SAFETY: the id came from the host for an actor on this node; a wrong `M` is a decoding error, not memory.
        unsafe { lunatic::Process::new(lunatic::host::node_id(), self.0) }
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an actor was not spawned: the host's text, which names the class and what to write in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError(String);

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SpawnError {}

/// Starts an actor of the class `class`, which the manifest must list in this class's `permissions.spawn`.
///
/// # Errors
/// The class is unknown or not permitted, or one more actor would break a limit.
pub fn spawn(class: &str) -> Result<ActorId, SpawnError> {
    spawn_with(class, 0)
}

/// Like [`spawn`], and links the two: when one fails, the other dies too, or is told by a message with the tag `link`
/// when it traps such failures.
///
/// # Errors
/// As for [`spawn`].
pub fn spawn_link(class: &str, link: NonZeroI64) -> Result<ActorId, SpawnError> {
    spawn_with(class, link.get())
}

fn spawn_with(class: &str, link: i64) -> Result<ActorId, SpawnError> {
    host::spawn(class, link).map(ActorId).map_err(|error| SpawnError(host::take_error(error)))
}

/// Tag of the message that [`wait_for_shutdown`] waits for; it has no bytes. The last of those that crate `lunatic` keeps
/// for libraries.
pub const SHUTDOWN_TAG: i64 = 63;

/// Waits until the app stops (SIGTERM, the end of its pod). From then on this actor has the grace period to end.
pub fn wait_for_shutdown() {
    host::wait_for_shutdown(SHUTDOWN_TAG);
}

/// When the app stops, `message` comes to this actor's mailbox, and the actor has the grace period to end. Without it, an
/// actor is killed as soon as the app's connections are finished.
///
/// ```no_run
/// # use lunatic::Mailbox;
/// fn serve(mailbox: Mailbox<String>) {
///     perigee::on_shutdown(&mailbox, "stop".to_owned());
///     while mailbox.receive() != "stop" {}
/// }
/// ```
///
/// # Panics
/// When `message` cannot be encoded.
#[cfg(feature = "lunatic")]
pub fn on_shutdown<M, S, L>(_: &lunatic::Mailbox<M, S, L>, message: M)
where
    S: lunatic::serializer::CanSerialize<M>,
{
    // SAFETY: a message is started; no memory is involved.
    unsafe { lunatic::host::api::message::create_data(0, 0) };
    S::encode(&message).expect("a message that can be sent can be encoded");
    host::keep_for_shutdown();
}
