use std::fs;

use super::*;
use crate::actor::{ActorLimits, Prepare, Quota, System};
use crate::class::Class;
use crate::engine::{Capacity, Engine};
use crate::folder::MountedFolder;

/// A class with a folder of the host as `/data`, and an actor with that much memory.
pub(crate) fn context(memory: u64, folder: &std::path::Path, read_only: bool) -> Context {
    let limits = ActorLimits { memory, mailbox: 1 << 10 };
    let prepare = Prepare { class: "test".into(), limits, quota: Quota::new(0, None), counts_in: None };
    let engine = Engine::new(Capacity { actors: 1 }).unwrap();
    let program = engine.compile("test.wasm", &wat::parse_str(r#"(module (func (export "_start")))"#).unwrap()).unwrap();
    let spec = perigee_spec::ActorClass::new("test".parse().unwrap());
    let folder = MountedFolder::new("/data", folder, read_only);
    let host = crate::HostValues { folders: vec![folder], ..Default::default() };
    let class = Arc::new(Class::prepare(spec, program, &host).unwrap());
    Context { actor: System::default().prepare(prepare).unwrap(), class }
}

fn open(context: Context, path: &CStr) -> Result<Arc<Connection>, Code> {
    Connection::open(Arc::new(context), path).map(Arc::new)
}

fn in_memory(memory: u64) -> Arc<Connection> {
    open(context(memory, std::path::Path::new("/nowhere"), false), c"").unwrap()
}

/// Does all statements; returns the first column of each row.
fn all(connection: &Arc<Connection>, sql: &str) -> Result<Vec<String>, (Code, String)> {
    let sql = CString::new(sql).unwrap();
    let failed = |code| (code, connection.last_error().map(|(_, text)| text).unwrap_or_default());
    connection.begin();
    let (mut at, mut rows) = (0, Vec::new());
    while at < sql.as_bytes().len() {
        let (statement, end) = connection.prepare(&sql, at).map_err(failed)?;
        at = end;
        let Some(statement) = statement else { continue };
        while statement.step().map_err(failed)? == ROW {
            rows.push(statement.column(0, show).unwrap());
        }
    }
    Ok(rows)
}

fn show(column: Column<'_>) -> String {
    match column {
        Column::Null => "null".to_owned(),
        Column::Integer(value) => value.to_string(),
        Column::Double(value) => value.to_string(),
        Column::Text(text) => text.to_owned(),
        Column::Blob(bytes) => format!("{bytes:?}"),
    }
}

#[test]
fn all_kinds_of_values_go_in_and_come_out() {
    let connection = in_memory(16 << 20);
    let (statement, _) = connection.prepare(c"select ?, ?, ?4, :name, ?3", 0).unwrap();
    let statement = statement.unwrap();
    let mut next = 1;
    for value in [Value::Text("hé"), Value::Blob(&[0, 255])] {
        next = statement.bind(Key::None, next, value).unwrap();
    }
    statement.bind(Key::Numeric(4), 0, Value::Integer(-7)).unwrap();
    statement.bind(Key::Name("name"), 0, Value::Double(0.5)).unwrap();
    statement.bind(Key::Numeric(3), 0, Value::Null).unwrap();
    assert!(statement.bind(Key::Numeric(99), 0, Value::Null).unwrap_err().contains("range"));
    assert!(statement.bind(Key::Name("unknown"), 0, Value::Null).is_err());
    assert!(statement.bind(Key::Numeric(u64::MAX), 0, Value::Null).is_err());
    assert_eq!(statement.step(), Ok(ROW));
    let row: Vec<_> = (0..5).map(|column| statement.column(column, show).unwrap()).collect();
    assert_eq!(row, ["hé", "[0, 255]", "-7", "0.5", "null"]);
    assert!(statement.bind(Key::Numeric(1), 0, Value::Null).is_err(), "it has begun");
    assert_eq!(statement.step(), Ok(Code(ffi::SQLITE_DONE)));
    statement.reset();
    assert!(statement.bind(Key::Numeric(1), 0, Value::Null).is_ok());
    assert_eq!(all(&connection, "select cast(x'ff' as text)").unwrap(), ["[255]"], "no text without UTF-8");
    assert_eq!((statement.column_name(3).unwrap().as_str(), statement.column_count()), (":name", 5));
    assert!(statement.column_name(5).is_none() && statement.column_name(u32::MAX).is_none());
}

#[test]
fn memory_is_the_actors_up_to_its_limit_and_given_back() {
    let connection = in_memory(4 << 20);
    let actor = Arc::clone(&connection.context.actor);
    all(&connection, "create table t (x); insert into t values (zeroblob(1000000))").unwrap();
    let used = actor.memory();
    assert!((1_000_000..4 << 20).contains(&used), "{used}");
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n) insert into t select zeroblob(100000) from n";
    assert_eq!(all(&connection, sql).unwrap_err().0, Code(ffi::SQLITE_NOMEM));
    assert!(actor.memory() <= 4 << 20);
    assert_eq!(all(&connection, "select count(*) from t").unwrap(), ["1"], "the statement was taken back as a whole");
    drop(connection);
    assert_eq!(actor.memory(), 0);
}

#[test]
fn a_statement_outlives_the_handle_of_its_connection() {
    let connection = in_memory(16 << 20);
    let actor = Arc::clone(&connection.context.actor);
    let (statement, _) = connection.prepare(c"select 5", 0).unwrap();
    drop(connection);
    let statement = statement.unwrap();
    assert_eq!(statement.step(), Ok(ROW));
    drop(statement);
    assert_eq!(actor.memory(), 0);
}

#[test]
fn files_lie_in_folders_alone_whatever_sql_says() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(outer.path().join("secret.db"), "").unwrap();
    std::os::unix::fs::symlink("../secret.db", inner.join("link.db")).unwrap();
    let connection = open(context(16 << 20, &inner, false), c"/data/own.db").unwrap();
    all(&connection, "create table t (x); insert into t values (1)").unwrap();
    let outside = outer.path().join("new.db");
    for path in
        [outside.to_str().unwrap(), "/data/../new.db", "/data/link.db", "/data/inner/../../new.db", "file:/data/../new.db"]
    {
        for sql in ["attach '{}' as other; create table other.t (x)", "vacuum into '{}'"] {
            assert!(all(&connection, &sql.replace("{}", path)).is_err(), "{sql} {path}");
        }
    }
    assert_eq!(
        all(&connection, "attach '/data/second.db' as second; create table second.t (x); vacuum into '/data/third.db'"),
        Ok(vec![])
    );
    let mut names: Vec<_> =
        fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["link.db", "own.db", "second.db", "third.db"]);
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 2);
    assert_eq!(fs::metadata(outer.path().join("secret.db")).unwrap().len(), 0);
    assert!(all(&connection, "select load_extension('/data/own.db')").is_err());
}

#[test]
fn a_database_in_memory_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let names = [c":memory:", c"", c"file::memory:?cache=shared", c"file:/shared?vfs=memdb"];
    for name in names {
        let one = open(context(16 << 20, folder.path(), false), name);
        let Ok(one) = one else { continue };
        all(&one, "create table t (x)").unwrap();
        let two = open(context(16 << 20, folder.path(), false), name).unwrap();
        assert!(all(&two, "select * from t").is_err(), "{name:?}");
    }
}

#[test]
fn a_read_only_folder_is_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(context(16 << 20, folder.path(), false), c"/data/a.db").unwrap();
    all(&connection, "create table t (x); insert into t values (5)").unwrap();
    drop(connection);
    let connection = open(context(16 << 20, folder.path(), true), c"/data/a.db").unwrap();
    assert_eq!(all(&connection, "select x from t").unwrap(), ["5"]);
    assert_eq!(all(&connection, "insert into t values (6)").unwrap_err().0, Code(ffi::SQLITE_READONLY));
    assert!(all(&connection, "vacuum into '/data/b.db'").is_err());
    assert_eq!(open(context(16 << 20, folder.path(), true), c"/data/none.db").err(), Some(Code(ffi::SQLITE_CANTOPEN)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn sorts_and_temporary_tables_take_memory_and_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(context(64 << 20, folder.path(), false), c"/data/a.db").unwrap();
    let big = "with recursive n(i) as (select 1 union all select i + 1 from n limit 20000) \
               select max(x) from (select hex(randomblob(200)) as x from n order by x limit 100000)";
    assert_eq!(all(&connection, big).unwrap().len(), 1);
    let temporary = "pragma temp_store=1; pragma temp_store=file; create temp table s as with recursive n(i) as \
                     (select 1 union all select i + 1 from n limit 20000) select hex(randomblob(100)) as x from n; \
                     create index temp.i on s (x); select count(*) from s";
    assert_eq!(all(&connection, temporary).unwrap(), ["20000"]);
    // A savepoint within a transaction over many pages, taken back.
    let savepoint = "create table t (x); insert into t select x from s; begin; savepoint p; update t set x = x || 'y'; \
                     delete from t; rollback to p; commit; select count(*) from t";
    assert_eq!(all(&connection, savepoint).unwrap(), ["20000"]);
    assert_eq!(all(&connection, "pragma temp_store_directory='/data'; pragma temp_store_directory"), Ok(vec![]));
}

#[test]
fn a_log_of_writes_needs_memory_shared_through_files_and_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(context(16 << 20, folder.path(), false), c"/data/a.db").unwrap();
    assert_eq!(all(&connection, "pragma journal_mode=wal").unwrap(), ["delete"]);
    assert_eq!(
        all(&connection, "pragma mmap_size=1000000; create table t (x); insert into t values (1); select x from t")
            .unwrap()
            .last()
            .unwrap(),
        "1"
    );
    // By a program that has such memory.
    drop(connection);
    let mut bytes = fs::read(folder.path().join("a.db")).unwrap();
    bytes.get_mut(18..20).unwrap().copy_from_slice(&[2, 2]);
    fs::write(folder.path().join("a.db"), bytes).unwrap();
    let connection = open(context(16 << 20, folder.path(), false), c"/data/a.db").unwrap();
    assert_eq!(all(&connection, "select x from t").unwrap_err().0, Code(ffi::SQLITE_CANTOPEN));
}

#[test]
fn what_never_ends_is_stopped_or_its_time_is_over() {
    const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let connection = in_memory(16 << 20);
    let stopped = Arc::clone(&connection);
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stopped.stop();
    });
    assert_eq!(all(&connection, ENDLESS).unwrap_err().0, INTERRUPTED);
    stopper.join().unwrap();

    let connection = in_memory(16 << 20);
    let late = Arc::clone(&connection);
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        late.signals.deadline.store(0, Ordering::Relaxed);
    });
    assert_eq!(all(&connection, ENDLESS).unwrap_err().0, INTERRUPTED);
    later.join().unwrap();
    assert_eq!(all(&connection, "select 1").unwrap(), ["1"], "the next call has its own time");
}

#[test]
fn what_is_nested_too_deep_is_an_error() {
    let connection = in_memory(64 << 20);
    let nested = |depth: usize, open: &str, inner: &str, close: &str| {
        format!("select {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, inner, close) in [("(", "1", ")"), ("(select ", "1", ")"), ("abs(", "1", ")"), ("- ", "1", ""), ("not ", "1", "")]
    {
        assert!(all(&connection, &nested(20_000, open, inner, close)).is_err(), "{open}");
        let usual = all(&connection, &nested(15, open, inner, close));
        assert!(usual.is_ok(), "{open}: {usual:?}");
    }
    let from = |depth: usize| format!("select * from {}(select 1){}", "(select * from ".repeat(depth), ")".repeat(depth));
    assert!(all(&connection, &from(40)).is_ok());
    assert!(all(&connection, &from(20_000)).is_err());
    assert!(all(&connection, &vec!["select 1"; 5_000].join(" union all ")).is_err());
    let json = format!("select json('{}{}')", "[".repeat(100_000), "]".repeat(100_000));
    assert!(all(&connection, &json).is_err());
    let trigger = "create table r (x); create trigger d after insert on r begin insert into r values (new.x + 1); end; \
                   pragma recursive_triggers=on; insert into r values (1)";
    assert!(all(&connection, trigger).is_err());
    assert_eq!(all(&connection, "select 1").unwrap(), ["1"]);
}

/// SQLite follows what refers to something else by recursion: the stack of the thread must not end before it does.
#[test]
fn chains_of_things_that_refer_to_each_other_end_before_the_stack_does() {
    const LONG: usize = 3_000;
    let chain = |first: &str, link: &dyn Fn(usize) -> String| {
        let links: Vec<_> = (1..LONG).map(link).collect();
        format!("begin; {first}; {}; commit", links.join("; "))
    };
    let views = chain("create view v0 as select 1 as x", &|i| format!("create view v{i} as select * from v{}", i - 1));
    let triggers = chain("create table t0 (x)", &|i| {
        let before = i - 1;
        format!("create table t{i} (x); create trigger g{i} after insert on t{i} begin insert into t{before} values (new.x); end")
    });
    let keys = chain("create table k0 (x primary key)", &|i| {
        format!("create table k{i} (x primary key references k{} on delete cascade)", i - 1)
    });
    let common: Vec<_> = (1..LONG).map(|i| format!("c{i} as (select * from c{})", i - 1)).collect();
    let common = format!("with c0 as (select 1), {} select * from c{}", common.join(", "), LONG - 1);
    let columns: Vec<_> = (1..1_900).map(|i| format!("g{i} as (g{} + 1)", i - 1)).collect();
    let columns = format!("create table c (g0, {}); insert into c values (1); select g1899 from c", columns.join(", "));
    for (made, used) in [
        (views, format!("select * from v{}", LONG - 1)),
        (triggers, format!("insert into t{} values (1)", LONG - 1)),
        (keys, "pragma foreign_keys=on; insert into k0 values (1); delete from k0".to_owned()),
        (String::new(), common),
        (String::new(), columns),
    ] {
        let connection = in_memory(256 << 20);
        all(&connection, &made).unwrap();
        // An answer or an error: which, is up to how much SQLite needs for each.
        drop(all(&connection, &used));
        assert_eq!(all(&connection, "select 1").unwrap(), ["1"], "{used}");
    }
}

#[test]
fn one_that_others_hold_up_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let open = || open(context(16 << 20, folder.path(), false), c"/data/a.db").unwrap();
    let (one, two) = (open(), open());
    all(&one, "create table t (x); begin immediate; insert into t values (1)").unwrap();
    assert_eq!(all(&two, "pragma busy_timeout=60000; begin immediate").unwrap_err().0, BUSY);
    assert!(two.was_locked(), "waiting could help");
    all(&one, "commit").unwrap();
    assert_eq!(all(&two, "select x from t").unwrap(), ["1"]);
    assert!(!two.was_locked());
    assert_eq!(two.last_error(), None);
}

#[test]
fn foreign_keys_and_quoted_texts_are_as_in_sqlite_itself() {
    let connection = in_memory(16 << 20);
    assert_eq!(all(&connection, "pragma foreign_keys; select \"Hello\"").unwrap(), ["0", "Hello"]);
}
