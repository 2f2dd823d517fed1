//! SQLite for guests, built in: its files lie in the folders of the guest's class, its memory is on the guest's account, and
//! its work is done on threads that may wait.
//!
//! ```text
//! databases    what one guest holds: connections and statements
//! calls        the way to a thread that may wait, and back
//! connection   a database and its statements: SQLite's own functions, called safely
//! memory, vfs  SQLite's ways to memory and to files, for whom `context` says
//! folder       paths of guests, and locks of files
//! wire         values as guests pass them
//! ```

mod calls;
mod connection;
mod context;
mod databases;
mod folder;
mod memory;
mod vfs;
pub(crate) mod wire;

pub(crate) use connection::{Code, Statement, TOO_BIG};
pub(crate) use databases::{Databases, MAX_SQL_BYTES, open};
