use std::path::Path;

use super::*;
use crate::host::sqlite::connection::tests::context;

const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

async fn open(folder: &Path) -> Arc<Connection> {
    Connection::open_elsewhere(context(16 << 20, folder, false), c"/data/a.db".to_owned()).await.unwrap()
}

fn sql(text: &str) -> CString {
    CString::new(text).unwrap()
}

#[tokio::test]
async fn who_finds_the_database_locked_waits_for_it_without_a_thread() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(folder.path()).await;
    writer.execute(sql("create table t (x); begin immediate; insert into t values (1)")).await.unwrap();
    // More than there are threads: none is held while waiting.
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE * 2 {
        let other = open(folder.path()).await;
        waiting.push(tokio::spawn(async move { other.execute(sql("insert into t values (2)")).await }));
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    writer.execute(sql("commit")).await.unwrap();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    let count = Arc::new(writer.compile(sql("select count(*) from t where x = 2")).await.unwrap().unwrap());
    count.advance().await;
    let counted = count.column(0, |column| match column {
        crate::host::sqlite::connection::Column::Integer(count) => usize::try_from(count).unwrap(),
        _ => panic!("a count is an integer"),
    });
    assert_eq!(counted, Some(AT_ONCE * 2));
}

#[tokio::test]
async fn statements_that_wait_for_each_other_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(folder.path()).await, open(folder.path()).await);
    one.execute(sql("create table t (x); begin; select * from t")).await.unwrap();
    let reading = Arc::new(two.compile(sql("select 1 from sqlite_schema")).await.unwrap().unwrap());
    two.execute(sql("begin")).await.unwrap();
    reading.advance().await;
    one.execute(sql("insert into t values (1)")).await.unwrap();
    let began = Instant::now();
    assert_eq!(two.execute(sql("insert into t values (2)")).await, Err(BUSY));
    assert!(began.elapsed() < PATIENCE, "waiting cannot help one that reads");
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_and_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut endless = Vec::new();
    for _ in 0..AT_ONCE {
        let connection = open(folder.path()).await;
        endless.push(tokio::spawn(async move { connection.execute(sql(ENDLESS)).await }));
    }
    // Until all turns are taken; other tests give theirs back now and then.
    let next = loop {
        let other = context(16 << 20, folder.path(), false);
        let mut next = Box::pin(Connection::open_elsewhere(other, c"".to_owned()));
        if tokio::time::timeout(Duration::from_millis(20), &mut next).await.is_err() {
            break next;
        }
    };
    endless.pop().unwrap().abort();
    next.await.unwrap();
    for endless in endless {
        endless.abort();
    }
}

#[tokio::test]
async fn all_statements_of_a_text_are_done_in_order_until_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(folder.path()).await;
    let text = " ; create table t (x unique); -- a note\n insert into t values (1), (2);; insert into t values (2); insert into t values (3)";
    let failed = connection.execute(sql(text)).await.unwrap_err();
    assert_eq!(failed.0, libsqlite3_sys::SQLITE_CONSTRAINT);
    let (code, text) = connection.last_error().unwrap();
    assert!(code == 19 && text.contains("UNIQUE"), "{text}");
    let count = connection.compile(sql("select count(*) from t")).await.unwrap().map(Arc::new).unwrap();
    count.advance().await;
    assert!(count.column(0, |column| matches!(column, crate::host::sqlite::connection::Column::Integer(2))).unwrap());
    assert!(connection.compile(sql(" -- nothing")).await.unwrap().is_none());
    assert!(connection.compile(sql("selec 1")).await.is_err());
}
