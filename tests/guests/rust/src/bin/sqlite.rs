//! `sqlite WHAT [PATH]`: uses databases, and prints how that went.

use std::time::Duration;

use guests::sqlite::{self, bind, execute, given, given_value, import, open, prepare, rows, Key, Parameter, Value};
use lunatic::host::api::{message, process};
use lunatic::{Mailbox, Process};

/// Actors that write to one database, and rows of each.
const WRITERS: u64 = 40;
const ROWS: u64 = 5;
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n)";

#[lunatic::main]
fn main(mailbox: Mailbox<u64>) {
    let path = std::env::args().nth(2).unwrap_or_default();
    match guests::text_arg(0, "open|values|bad_bincode|contend|endless|fill").as_str() {
        "open" => guests::print_result(open(&path).map(|id| format!("connection {id}"))),
        "values" => values(&path),
        "bad_bincode" => bad_bincode(),
        "contend" => contend(&mailbox, path),
        "endless" => endless(&mailbox),
        "fill" => fill(),
        other => panic!("argument 0 is {other:?}"),
    }
}

/// Every function.
fn values(path: &str) {
    assert_eq!(open(path), Ok(0), "ids count from 0");
    assert_eq!(execute(0, "create table t (a, b, c, d, e, f)"), 0);
    let insert = prepare(0, "insert into t values (?, ?, ?, ?, :last, ?2)");
    let list = [
        (Key::Next, Parameter::Null),
        (Key::Next, Parameter::Blob(vec![0, 1])),
        (Key::Position(4), Parameter::Double(1.5)),
        (Key::Position(3), Parameter::Text("hé")),
        (Key::Name("last"), Parameter::Int64(i64::MIN)),
    ];
    bind(insert, &list);
    for _ in 0..2 {
        unsafe {
            assert_eq!(import::sqlite3_step(insert), sqlite::DONE);
            import::statement_reset(insert);
        }
    }
    unsafe { import::sqlite3_finalize(insert) };
    println!("changed {}", unsafe { import::sqlite3_changes(0) });

    let select = prepare(0, "select *, ? from t");
    bind(select, &[(Key::Position(1), Parameter::Int(-7))]);
    let blob = || Value::Blob(vec![0, 1]);
    let numbers = (Value::Integer(i64::MIN), Value::Integer(-7));
    let row = vec![Value::Null, blob(), Value::Text("hé".into()), Value::Double(1.5), numbers.0, blob(), numbers.1];
    let found = rows(select);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|found| *found == row), "{found:?}");

    let select = prepare(0, "select c as name, d from t");
    unsafe {
        assert_eq!((import::sqlite3_step(select), import::column_count(select)), (sqlite::ROW, 2));
        let column: Value = given_value(|len| import::read_column(select, 0, len));
        assert_eq!(column, Value::Text("hé".into()));
        assert_eq!(given(|len| import::column_name(select, 0, len)), b"name");
        let names: Vec<String> = given_value(|len| import::column_names(select, len));
        assert_eq!(names, ["name", "d"]);
        import::sqlite3_finalize(select);
    }

    let last_error = || given_value::<(Option<u32>, Option<String>)>(|len| unsafe { import::last_error(0, len) });
    assert_eq!(last_error(), (None, None));
    assert_eq!(execute(0, "insert into nowhere values (1)"), 1);
    let (code, text) = last_error();
    println!("error {code:?}: {}", text.expect("a text"));
    println!("second {:?}", open(":memory:"));
    println!("ok");
}

/// A child passes lists that are none; only the child may suffer.
fn bad_bincode() {
    unsafe { process::die_when_link_dies(0) };
    let lists: [&[u8]; 6] = [
        &[],
        &[0xff; 8],
        &[1, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9],
        &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ];
    for list in lists {
        Process::spawn_link(list.to_vec(), |list, _: Mailbox<()>| {
            open("").expect("a database");
            unsafe { import::bind_value(prepare(0, "select ?"), list.as_ptr(), list.len()) };
        });
        let got = unsafe { message::receive(std::ptr::null(), 0, 60_000) };
        assert_eq!(got, 1, "{list:?} ends the child");
    }
    open("").expect("a database");
    println!("ok: alive");
}

/// Many write to one database at once, each by a transaction of its own.
fn contend(mailbox: &Mailbox<u64>, path: String) {
    open(&path).expect("a database");
    assert_eq!(execute(0, "create table t (writer, row)"), 0);
    for writer in 0..WRITERS {
        Process::spawn((mailbox.this(), path.clone(), writer), |(main, path, writer), _: Mailbox<()>| {
            open(&path).expect("a database");
            for row in 0..ROWS {
                loop {
                    match execute(0, &format!("insert into t values ({writer}, {row})")) {
                        0 => break,
                        code => assert_eq!(code, sqlite::BUSY),
                    }
                }
            }
            main.send(writer);
        });
    }
    let sum: u64 = (0..WRITERS).map(|_| mailbox.receive()).sum();
    assert_eq!(sum, WRITERS * (WRITERS - 1) / 2);
    println!("rows {:?}", rows(prepare(0, "select count(*), count(distinct writer) from t")));
}

/// Some do what never ends, and are killed; others go on meanwhile and after it.
fn endless(mailbox: &Mailbox<u64>) {
    let endless: Vec<_> = (0..8)
        .map(|_| {
            Process::spawn(mailbox.this(), |main, _: Mailbox<()>| {
                open("").expect("a database");
                main.send(0);
                execute(0, &format!("{ENDLESS} select count(*) from n"));
            })
        })
        .collect();
    for _ in &endless {
        mailbox.receive();
    }
    lunatic::sleep(Duration::from_millis(50));
    open("").expect("a database");
    println!("beside {:?}", rows(prepare(0, "select 6 * 7")));
    for process in endless {
        process.kill();
    }
    println!("after {:?}", rows(prepare(0, "select 6 * 7")));
}

/// A database in memory takes no more than the actor may have.
fn fill() {
    open(":memory:").expect("a database");
    assert_eq!(execute(0, "create table t (x)"), 0);
    let filled = execute(0, &format!("{ENDLESS} insert into t select randomblob(1000) from n"));
    assert_eq!(filled, sqlite::NO_MEMORY);
    println!("kept {:?}", rows(prepare(0, "select count(*) from t")));
}
