//! `compute zlib|json|sql [ROUNDS]`: work of the processor alone, by programs that people use: zlib and SQLite in C,
//! serde_json in Rust. WASI only, so that any runtime can run it. Checks its results; prints the rate of rounds.

use std::ffi::{c_int, CStr, CString};
use std::ptr::{null, null_mut};
use std::time::Instant;

use libsqlite3_sys as sqlite;
use libz_sys::{compress2, compressBound, uncompress, Z_OK};
use serde_json::{json, Value};

fn main() {
    let what = guests::text_arg(0, "compute zlib|json|sql");
    let rounds = guests::arg(1, 1);
    let round = match what.as_str() {
        "zlib" => zlib,
        "json" => json,
        "sql" => sql,
        other => panic!("argument 0 is {other:?}"),
    };
    let started = Instant::now();
    for _ in 0..rounds {
        round();
    }
    guests::print_rate(&what, rounds, started);
}

/// Numbers that look like chance, and are the same everywhere.
fn noise(seed: u32) -> u32 {
    let mixed = seed.wrapping_mul(0x9E37_79B9);
    mixed ^ (mixed >> 15)
}

/// Two megabytes of words: there and back.
fn zlib() {
    const WORDS: [&str; 8] = ["actor", "mailbox", "spawn", "link", "monitor", "signal", "supervisor", "exit"];
    let words = (0..300_000u32).map(|index| WORDS[noise(index) as usize % WORDS.len()]);
    let text = words.fold(String::new(), |text, word| text + word + " ");
    let mut packed = vec![0; unsafe { compressBound(text.len() as _) } as usize];
    let mut length = packed.len() as _;
    let done = unsafe { compress2(packed.as_mut_ptr(), &mut length, text.as_ptr(), text.len() as _, 6) };
    assert_eq!(done, Z_OK);
    let mut unpacked = vec![0u8; text.len()];
    let mut unpacked_length = unpacked.len() as _;
    let done = unsafe { uncompress(unpacked.as_mut_ptr(), &mut unpacked_length, packed.as_ptr(), length) };
    assert_eq!(done, Z_OK);
    assert!(unpacked == text.as_bytes(), "what came back is another text");
}

/// Orders to text, and back.
fn json() {
    let order = |id: u32| {
        let lines: Vec<Value> = (0..5).map(|line| json!({"sku": format!("{:08x}", noise(id * 5 + line)), "count": line})).collect();
        json!({"id": id, "paid": id % 3 == 0, "total": f64::from(noise(id)) / 100.0, "to": "Ünter den Linden \"1\"", "lines": lines})
    };
    let orders = Value::Array((0..1_500).map(order).collect());
    let text = orders.to_string();
    let parsed: Value = serde_json::from_str(&text).expect("what was written can be read");
    assert!(parsed == orders, "what came back is another value");
}

/// A table with an index, in memory: filled, changed, joined with itself.
fn sql() {
    let mut database = null_mut();
    assert_eq!(unsafe { sqlite::sqlite3_open(c":memory:".as_ptr(), &mut database) }, sqlite::SQLITE_OK);
    let script = "create table item (id integer primary key, kind integer, name text);
        with recursive n (x) as (select 1 union all select x + 1 from n where x < 30000)
          insert into item select x, x * 7919 % 100, printf('item-%08d', x * 31 % 30000) from n;
        create index item_kind on item (kind, name);
        update item set name = upper(name) where kind < 50;";
    execute(database, script);
    // Each name is there once, so that of each two of a kind one is before the other.
    let pairs = |before| query(database, &format!("select count(*) from item a join item b on b.kind = a.kind and b.name {before} a.name where a.kind < 4"));
    let (before, after) = (pairs("<"), pairs(">"));
    assert_eq!((before, after), (4 * 300 * 299 / 2, 4 * 300 * 299 / 2));
    assert_eq!(query(database, "select count(*) from item where name glob 'ITEM-*'"), 15_000);
    assert_eq!(unsafe { sqlite::sqlite3_close(database) }, sqlite::SQLITE_OK);
}

fn execute(database: *mut sqlite::sqlite3, script: &str) {
    let script = CString::new(script).expect("no zero in it");
    let code = unsafe { sqlite::sqlite3_exec(database, script.as_ptr(), None, null_mut(), null_mut()) };
    let text = unsafe { CStr::from_ptr(sqlite::sqlite3_errmsg(database)) };
    assert_eq!(code, sqlite::SQLITE_OK, "{text:?}");
}

/// The number that a query gives.
fn query(database: *mut sqlite::sqlite3, text: &str) -> i64 {
    let mut statement = null_mut();
    let prepared = unsafe { sqlite::sqlite3_prepare_v2(database, text.as_ptr().cast(), text.len() as c_int, &mut statement, &mut null()) };
    assert_eq!(prepared, sqlite::SQLITE_OK, "{text}");
    assert_eq!(unsafe { sqlite::sqlite3_step(statement) }, sqlite::SQLITE_ROW, "{text}");
    let number = unsafe { sqlite::sqlite3_column_int64(statement, 0) };
    assert_eq!(unsafe { sqlite::sqlite3_finalize(statement) }, sqlite::SQLITE_OK);
    number
}
