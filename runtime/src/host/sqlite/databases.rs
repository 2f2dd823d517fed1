//! The databases that one guest holds.

use std::ffi::CString;
use std::sync::Arc;

use wasmtime::Result;

use super::connection::{Connection, Statement};
use super::context::Context;
use super::folder::locate;
use crate::actor::Actor;
use crate::class::Class;
use crate::host::charge::{Charge, NoMemory};
use crate::host::table::Table;

/// Connections of one guest. Each is open files of the process, which all its actors share, and none is closed before its
/// guest ends: the ABI has no function for it.
const MAX_CONNECTIONS: usize = 64;
/// Statements of one guest.
const MAX_STATEMENTS: usize = 1_024;
/// What is charged for either, beside what SQLite allocates for it.
const ENTRY_BYTES: u64 = 512;
/// Bytes of one text of SQL.
pub(crate) const MAX_SQL_BYTES: u32 = 1 << 20;

/// Why a guest gets no database or statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the actor holds {MAX_CONNECTIONS} connections to databases already")]
    Connections,
    #[error("the actor holds {MAX_STATEMENTS} statements already: it has to finalise some first")]
    Statements,
    #[error("the actor has no memory for this: {0}")]
    Memory(#[from] NoMemory),
    #[error(
        "denied: the class {class:?} may not open the database {path:?}: add a folder that holds it to its permissions.filesystem"
    )]
    Denied { class: String, path: String },
    #[error("the database {path:?} cannot be opened: {reason}")]
    Open { path: String, reason: String },
}

struct Entry<T> {
    value: Arc<T>,
    _place: Charge,
}

/// What one guest holds.
#[derive(Default)]
pub(crate) struct Databases {
    connections: Table<Entry<Connection>>,
    statements: Table<Entry<Statement>>,
}

impl Databases {
    pub(crate) fn connection(&self, id: u64) -> Result<Arc<Connection>> {
        self.connections.get(id).map(|entry| Arc::clone(&entry.value))
    }

    pub(crate) fn statement(&self, id: u64) -> Result<Arc<Statement>> {
        self.statements.get(id).map(|entry| Arc::clone(&entry.value))
    }

    /// Takes a statement out, and gives its place back.
    pub(crate) fn remove_statement(&mut self, id: u64) -> Result<Arc<Statement>> {
        self.statements.remove(id).map(|entry| entry.value)
    }

    /// A place for one more connection. Taken before it is opened, as those of sockets.
    pub(crate) fn connection_place(&self, actor: &Arc<Actor>) -> Result<Charge, Refused> {
        if self.connections.len() < MAX_CONNECTIONS { Ok(Charge::new(actor, ENTRY_BYTES)?) } else { Err(Refused::Connections) }
    }

    pub(crate) fn add_connection(&mut self, connection: Arc<Connection>, place: Charge) -> Result<u64> {
        self.connections.add(Entry { value: connection, _place: place })
    }

    /// A place for one more statement.
    pub(crate) fn statement_place(&self, actor: &Arc<Actor>) -> Result<Charge, Refused> {
        if self.statements.len() < MAX_STATEMENTS { Ok(Charge::new(actor, ENTRY_BYTES)?) } else { Err(Refused::Statements) }
    }

    pub(crate) fn add_statement(&mut self, statement: Statement, place: Charge) -> Result<u64> {
        self.statements.add(Entry { value: Arc::new(statement), _place: place })
    }
}

/// Opens a database in a folder of the class; an empty path, or `:memory:`, one in memory.
pub(crate) async fn open(actor: &Arc<Actor>, class: &Arc<Class>, path: &str) -> Result<Arc<Connection>, Refused> {
    let in_memory = matches!(path, "" | ":memory:");
    if !in_memory && locate(&class.folders, path).is_none() {
        return Err(Refused::Denied { class: class.name.to_string(), path: path.to_owned() });
    }
    let failed = |reason: String| Refused::Open { path: path.to_owned(), reason };
    let name = CString::new(path).map_err(|error| failed(error.to_string()))?;
    let context = Context { actor: Arc::clone(actor), class: Arc::clone(class) };
    Connection::open_elsewhere(context, name).await.map_err(|code| failed(code.to_string()))
}

#[cfg(test)]
mod tests;
