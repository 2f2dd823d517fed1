//! `lunatic::sqlite`: databases. Ids of connections count from 0, on which the crate `lunatic` relies: it uses no other.
//!
//! Values that have no fixed size are written into memory that the guest's export `lunatic_alloc` gives, and their length, in
//! 4 bytes, to the given address.

use std::ffi::CString;
use std::sync::Arc;

use wasmtime::{Caller, Extern, Linker, Result, bail};

use super::{ERROR_IN_OUT, ID_IN_OUT, keep_error};
use crate::guest::Guest;
use crate::host::charge::Charge;
use crate::host::import_module;
use crate::host::memory::{bytes, bytes_mut, owned_text, put, split};
use crate::host::sqlite::wire::{Count, Pairs, Sink, put_column, put_error, put_len, put_text};
use crate::host::sqlite::{self, Code, MAX_SQL_BYTES, Statement, TOO_BIG};

/// The guest's function that gives memory.
const ALLOC: &str = "lunatic_alloc";

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    import_module!(linker, "lunatic::sqlite", {
        suspends open(path: u32, path_len: u32, id_out: u32) -> u64;
        suspends query_prepare(connection: u64, sql: u32, sql_len: u32) -> u64;
        suspends execute(connection: u64, sql: u32, sql_len: u32) -> u32;
        sync bind_value(statement: u64, list: u32, list_len: u32) -> ();
        sync sqlite3_changes(connection: u64) -> u32;
        suspends statement_reset(statement: u64) -> ();
        suspends last_error(connection: u64, len_out: u32) -> u32;
        suspends sqlite3_finalize(statement: u64) -> ();
        suspends sqlite3_step(statement: u64) -> u32;
        suspends read_column(statement: u64, column: u32, len_out: u32) -> u32;
        suspends read_row(statement: u64, len_out: u32) -> u32;
        sync column_count(statement: u64) -> u32;
        suspends column_name(statement: u64, column: u32, len_out: u32) -> u32;
        suspends column_names(statement: u64, len_out: u32) -> u32;
    });
    Ok(())
}

/// Opens a database, which lies in a folder of `permissions.filesystem`; an empty path, or `:memory:`, one in the guest's own
/// memory.
///
/// # Returns
/// 0: the connection is at `id_out`; 1: an error is. Either in 4 bytes, for which guests have room.
async fn open(caller: &mut Caller<'_, Guest>, path: u32, path_len: u32, id_out: u32) -> Result<u64> {
    let path = owned_text(caller, path, path_len)?;
    let guest = caller.data_mut();
    let (actor, class) = (Arc::clone(&guest.actor), Arc::clone(&guest.class));
    let opened = match guest.databases().connection_place(&actor) {
        Ok(place) => sqlite::open(&actor, &class, &path).await.map(|connection| (connection, place)),
        Err(full) => Err(full),
    };
    let (result, id) = match opened {
        Ok((connection, place)) => (ID_IN_OUT, caller.data_mut().databases().add_connection(connection, place)?),
        Err(refused) => (ERROR_IN_OUT, keep_error(caller, &refused)?),
    };
    let (memory, _) = split(caller)?;
    put(memory, id_out, u32::try_from(id)?.to_le_bytes())?;
    Ok(result.into())
}

/// Compiles the first statement of `sql`.
///
/// # Returns
/// The statement.
/// # Traps
/// It is no SQL; the guest holds too many statements.
async fn query_prepare(caller: &mut Caller<'_, Guest>, connection: u64, sql: u32, sql_len: u32) -> Result<u64> {
    let Some((sql, _charge)) = read_sql(caller, sql, sql_len)? else { bail!("SQL of more than {MAX_SQL_BYTES} bytes") };
    let guest = caller.data_mut();
    let actor = Arc::clone(&guest.actor);
    let databases = guest.databases();
    let (place, connection) = (databases.statement_place(&actor)?, databases.connection(connection)?);
    match connection.compile(sql).await {
        Ok(Some(statement)) => caller.data_mut().databases().add_statement(statement, place),
        Ok(None) => bail!("there is no statement in the SQL"),
        Err(code) => {
            let text = connection.last_error().map_or_else(|| code.to_string(), |(_, text)| text);
            bail!("the SQL was not compiled: {text}")
        }
    }
}

/// Does all statements of `sql`.
///
/// # Returns
/// 0, or SQLite's code of what went wrong.
async fn execute(caller: &mut Caller<'_, Guest>, connection: u64, sql: u32, sql_len: u32) -> Result<u32> {
    let Some((sql, _charge)) = read_sql(caller, sql, sql_len)? else { return number(TOO_BIG) };
    match caller.data_mut().databases().connection(connection)?.execute(sql).await {
        Ok(()) => Ok(0),
        Err(code) => number(code),
    }
}

/// A text of SQL, charged until it is done. `None`: it is too long.
fn read_sql(caller: &mut Caller<'_, Guest>, ptr: u32, len: u32) -> Result<Option<(CString, Charge)>> {
    if len > MAX_SQL_BYTES {
        return Ok(None);
    }
    let charge = Charge::new(&caller.data().actor, len.into())?;
    Ok(Some((CString::new(owned_text(caller, ptr, len)?)?, charge)))
}

fn number(code: Code) -> Result<u32> {
    Ok(u32::try_from(code.0)?)
}

/// Gives parameters their values.
///
/// # Traps
/// The list is not as the crate `lunatic-sqlite-api` writes it; there is no such parameter; the statement has begun.
fn bind_value(caller: &mut Caller<'_, Guest>, statement: u64, list: u32, list_len: u32) -> Result<()> {
    let (memory, guest) = split(caller)?;
    let statement = guest.databases().statement(statement)?;
    let mut pairs = Pairs::new(bytes(memory, list, list_len)?)?;
    let mut position = 1;
    while let Some((key, value)) = pairs.next()? {
        position = statement.bind(key, position, value).map_err(wasmtime::Error::msg)?;
    }
    Ok(())
}

/// # Returns
/// Rows that the last INSERT, UPDATE or DELETE changed.
fn sqlite3_changes(caller: &mut Caller<'_, Guest>, connection: u64) -> Result<u32> {
    Ok(caller.data_mut().databases().connection(connection)?.changes())
}

async fn statement_reset(caller: &mut Caller<'_, Guest>, statement: u64) -> Result<()> {
    caller.data_mut().databases().statement(statement)?.rewind().await;
    Ok(())
}

async fn sqlite3_finalize(caller: &mut Caller<'_, Guest>, statement: u64) -> Result<()> {
    // What it holds of the database is given back when this returns; its memory, some time later.
    caller.data_mut().databases().remove_statement(statement)?.rewind().await;
    Ok(())
}

/// Goes on to the next row.
///
/// # Returns
/// 100: there is one; 101: there is none; else SQLite's code of what went wrong.
async fn sqlite3_step(caller: &mut Caller<'_, Guest>, statement: u64) -> Result<u32> {
    number(caller.data_mut().databases().statement(statement)?.advance().await)
}

fn column_count(caller: &mut Caller<'_, Guest>, statement: u64) -> Result<u32> {
    Ok(caller.data_mut().databases().statement(statement)?.column_count())
}

/// # Returns
/// Where the last error is, if there was one: code and text.
async fn last_error(caller: &mut Caller<'_, Guest>, connection: u64, len_out: u32) -> Result<u32> {
    let error = caller.data_mut().databases().connection(connection)?.last_error();
    give(caller, len_out, |sink| put_error(sink, error.as_ref())).await
}

/// # Returns
/// Where the value of a column is.
async fn read_column(caller: &mut Caller<'_, Guest>, statement: u64, column: u32, len_out: u32) -> Result<u32> {
    let statement = caller.data_mut().databases().statement(statement)?;
    if column >= statement.column_count() {
        bail!("the statement has no column {column}");
    }
    give(caller, len_out, |sink| write_column(&statement, column, sink)).await
}

/// # Returns
/// Where the values of all columns are.
async fn read_row(caller: &mut Caller<'_, Guest>, statement: u64, len_out: u32) -> Result<u32> {
    let statement = caller.data_mut().databases().statement(statement)?;
    let row = |sink: &mut dyn Sink| {
        let count = statement.column_count();
        put_len(sink, usize::try_from(count)?)?;
        (0..count).try_for_each(|column| write_column(&statement, column, sink))
    };
    give(caller, len_out, row).await
}

fn write_column(statement: &Statement, column: u32, sink: &mut dyn Sink) -> Result<()> {
    let Some(written) = statement.column(column, |value| put_column(sink, value)) else { bail!("no memory for column {column}") };
    written
}

/// # Returns
/// Where the name of a column is, without its length before it.
async fn column_name(caller: &mut Caller<'_, Guest>, statement: u64, column: u32, len_out: u32) -> Result<u32> {
    let name = name(&*caller.data_mut().databases().statement(statement)?, column)?;
    give(caller, len_out, |sink| sink.put(name.as_bytes())).await
}

fn name(statement: &Statement, column: u32) -> Result<String> {
    match statement.column_name(column) {
        Some(name) => Ok(name),
        None => bail!("the statement has no column {column}"),
    }
}

/// # Returns
/// Where the names of all columns are.
async fn column_names(caller: &mut Caller<'_, Guest>, statement: u64, len_out: u32) -> Result<u32> {
    let statement = caller.data_mut().databases().statement(statement)?;
    let names = |sink: &mut dyn Sink| {
        let count = statement.column_count();
        put_len(sink, usize::try_from(count)?)?;
        (0..count).try_for_each(|column| put_text(sink, &name(&statement, column)?))
    };
    give(caller, len_out, names).await
}

/// Writes a value into memory of the guest's: once to see how long it is, and once more there, so that the host holds no copy.
///
/// # Traps
/// The guest has no memory for it, or changed the value meanwhile.
async fn give(caller: &mut Caller<'_, Guest>, len_out: u32, write: impl Fn(&mut dyn Sink) -> Result<()>) -> Result<u32> {
    let mut count = Count::default();
    write(&mut count)?;
    let len = u32::try_from(count.0)?;
    let Some(alloc) = caller.get_export(ALLOC).and_then(Extern::into_func) else {
        bail!("the module exports no function {ALLOC:?}");
    };
    let alloc = alloc.typed::<u32, u32>(&mut *caller)?;
    let ptr = alloc.call_async(&mut *caller, len).await?;
    let (memory, _) = split(caller)?;
    let mut rest = bytes_mut(memory, ptr, len)?;
    write(&mut rest)?;
    if !rest.is_empty() {
        bail!("the value changed while room was made for it");
    }
    put(memory, len_out, len.to_le_bytes())?;
    Ok(ptr)
}
