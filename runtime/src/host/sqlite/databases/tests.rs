use std::path::Path;

use super::*;
use crate::host::sqlite::connection::tests::context;

#[tokio::test]
async fn one_connection_or_statement_more_than_allowed_is_refused() {
    let Context { actor, class } = context(1 << 30, Path::new("/nowhere"), false);
    let mut databases = Databases::default();
    let connection = open(&actor, &class, "").await.unwrap();
    for id in (0..).take(MAX_CONNECTIONS) {
        let place = databases.connection_place(&actor).unwrap();
        assert_eq!(databases.add_connection(Arc::clone(&connection), place).unwrap(), id);
    }
    assert!(matches!(databases.connection_place(&actor), Err(Refused::Connections)));

    for _ in 0..MAX_STATEMENTS {
        let place = databases.statement_place(&actor).unwrap();
        let statement = connection.compile(c"select 1".to_owned()).await.unwrap().unwrap();
        databases.add_statement(statement, place).unwrap();
    }
    assert!(matches!(databases.statement_place(&actor), Err(Refused::Statements)));
    drop(databases.remove_statement(0).unwrap());
    assert!(databases.statement_place(&actor).is_ok());
}

#[tokio::test]
async fn a_connection_beyond_the_memory_of_its_actor_is_refused() {
    let Context { actor, class } = context(ENTRY_BYTES, Path::new("/nowhere"), false);
    let databases = Databases::default();
    let place = databases.connection_place(&actor).unwrap();
    assert!(matches!(databases.connection_place(&actor), Err(Refused::Memory(_))));
    let refused = open(&actor, &class, ":memory:").await.err().unwrap();
    assert!(refused.to_string().contains("out of memory"), "{refused}");
    drop(place);
    assert_eq!(actor.memory(), 0);
}

#[tokio::test]
async fn a_database_outside_of_all_folders_is_denied_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let Context { actor, class } = context(16 << 20, folder.path(), false);
    for path in ["/other/a.db", "/database", "file:/data/a.db", "a.db"] {
        let denied = open(&actor, &class, path).await.err().unwrap().to_string();
        assert!(denied.contains("\"test\"") && denied.contains(path) && denied.contains("permissions.filesystem"), "{denied}");
    }
    let failed = open(&actor, &class, "/data/no/such/a.db").await.err().unwrap().to_string();
    assert!(failed.contains("unable to open"), "{failed}");
    assert!(open(&actor, &class, "/data/a.db").await.is_ok());
}
