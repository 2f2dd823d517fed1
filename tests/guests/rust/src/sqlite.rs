//! `lunatic::sqlite` by its imports. The client of the crate `lunatic` is more than a guest needs, and its dependencies bring a
//! whole other runtime into the lock file.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub const BUSY: u32 = 5;
pub const NO_MEMORY: u32 = 7;
pub const ROW: u32 = 100;
pub const DONE: u32 = 101;

pub mod import {
    #[link(wasm_import_module = "lunatic::sqlite")]
    extern "C" {
        pub fn open(path: *const u8, path_len: usize, id: *mut u32) -> u64;
        pub fn query_prepare(connection: u64, sql: *const u8, sql_len: usize) -> u64;
        pub fn execute(connection: u64, sql: *const u8, sql_len: usize) -> u32;
        pub fn bind_value(statement: u64, list: *const u8, list_len: usize);
        pub fn sqlite3_changes(connection: u64) -> u32;
        pub fn statement_reset(statement: u64);
        pub fn last_error(connection: u64, len: *mut u32) -> u32;
        pub fn sqlite3_finalize(statement: u64);
        pub fn sqlite3_step(statement: u64) -> u32;
        pub fn read_column(statement: u64, column: u32, len: *mut u32) -> u32;
        pub fn read_row(statement: u64, len: *mut u32) -> u32;
        pub fn column_count(statement: u64) -> u32;
        pub fn column_name(statement: u64, column: u32, len: *mut u32) -> u32;
        pub fn column_names(statement: u64, len: *mut u32) -> u32;
    }
}

/// Which parameter a value is for.
#[derive(Serialize)]
pub enum Key {
    Next,
    Position(u64),
    Name(&'static str),
}

/// A value for a parameter.
#[derive(Serialize)]
pub enum Parameter {
    Null,
    Blob(Vec<u8>),
    Text(&'static str),
    Double(f64),
    Int(i32),
    Int64(i64),
}

/// A value of a row.
#[derive(Debug, PartialEq, Deserialize)]
pub enum Value {
    Null,
    Blob(Vec<u8>),
    Text(String),
    Double(f64),
    Integer(i64),
}

/// Opens a database.
///
/// # Errors
/// The host's text.
pub fn open(path: &str) -> Result<u64, String> {
    // A guest has room for 4 bytes: those behind stay.
    let mut id = [0, UNTOUCHED];
    let opened = unsafe { import::open(path.as_ptr(), path.len(), id.as_mut_ptr()) };
    assert_eq!(id[1], UNTOUCHED);
    if opened == 0 { Ok(id[0].into()) } else { Err(error_text(id[0].into())) }
}

const UNTOUCHED: u32 = 0xdead_beef;

fn error_text(id: u64) -> String {
    use lunatic::host::api::error;
    let mut bytes = vec![0; unsafe { error::string_size(id) } as usize];
    unsafe { error::to_string(id, bytes.as_mut_ptr()) };
    String::from_utf8(bytes).expect("UTF-8")
}

pub fn prepare(connection: u64, sql: &str) -> u64 {
    unsafe { import::query_prepare(connection, sql.as_ptr(), sql.len()) }
}

/// Does all statements; returns SQLite's code.
pub fn execute(connection: u64, sql: &str) -> u32 {
    unsafe { import::execute(connection, sql.as_ptr(), sql.len()) }
}

pub fn bind(statement: u64, list: &[(Key, Parameter)]) {
    let list = bincode::serialize(list).expect("a list");
    unsafe { import::bind_value(statement, list.as_ptr(), list.len()) };
}

/// What a function leaves in memory that it asked for.
pub fn given(give: impl Fn(*mut u32) -> u32) -> Vec<u8> {
    let mut len = [0, UNTOUCHED];
    let start = give(len.as_mut_ptr());
    assert_eq!(len[1], UNTOUCHED, "a length has 4 bytes");
    unsafe { Vec::from_raw_parts(start as *mut u8, len[0] as usize, len[0] as usize) }
}

/// The same, as a value.
pub fn given_value<T: DeserializeOwned + Debug>(give: impl Fn(*mut u32) -> u32) -> T {
    bincode::deserialize(&given(give)).expect("a value")
}

/// All rows of a statement that was prepared; it is finalised then.
pub fn rows(statement: u64) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    while unsafe { import::sqlite3_step(statement) } == ROW {
        rows.push(given_value(|len| unsafe { import::read_row(statement, len) }));
    }
    unsafe { import::sqlite3_finalize(statement) };
    rows
}
