use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn folder(guest: &str, host: &Path, read_only: bool) -> MountedFolder {
    MountedFolder::new(guest, host, read_only)
}

#[test]
fn a_path_leads_into_the_folder_with_the_longest_name() {
    let host = Path::new("/host");
    let folders = [folder("/data", host, false), folder("/data/big", host, true), folder(".", host, false)];
    for (path, expected) in [
        ("/data/a.db", Some(("/data", "a.db"))),
        ("data/a.db", Some(("/data", "a.db"))),
        ("/data/big/x/a.db", Some(("/data/big", "x/a.db"))),
        ("/data/bigger", Some(("/data", "bigger"))),
        ("a.db", Some((".", "a.db"))),
        ("/a.db", None),
        ("/database", None),
    ] {
        let found = locate(&folders, path).map(|(folder, rest)| (folder.guest(), rest));
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(locate(&[folder("/", host, false)], "/a/b").unwrap().1, "a/b");
    assert_eq!(locate(&[folder("/", host, false)], "a/b").unwrap().1, "a/b");
}

#[test]
fn nothing_leads_out_of_a_folder() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir_all(inner.join("below")).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    fs::write(inner.join("own"), "own").unwrap();
    symlink("../secret", inner.join("relative")).unwrap();
    symlink(outer.path().join("secret"), inner.join("absolute")).unwrap();
    symlink("..", inner.join("up")).unwrap();
    symlink("own", inner.join("inside")).unwrap();
    let folders = [folder("/data", &inner, false)];
    for path in ["/data/../secret", "/data/relative", "/data/absolute", "/data/up/secret", "/data/below/../../secret", "/secret"]
    {
        for access in [Access::Read, Access::Write, Access::Create, Access::CreateNew] {
            assert!(DatabaseFile::open(&folders, path, access).is_err(), "{path} {access:?}");
        }
        assert!(!exists(&folders, path), "{path}");
    }
    for path in ["/data/../secret", "/data/up/secret", "/data/below/../../secret"] {
        assert!(delete(&folders, path, true).is_err(), "{path}");
    }
    for path in ["/data/own", "/data/inside", "/data/below/../own"] {
        assert!(DatabaseFile::open(&folders, path, Access::Write).is_ok() && exists(&folders, path), "{path}");
    }
    assert_eq!(fs::read_to_string(outer.path().join("secret")).unwrap(), "secret");
    delete(&folders, "/data/relative", false).unwrap();
    assert!(outer.path().join("secret").exists() && !inner.join("relative").exists(), "the link goes, not what it names");
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let host = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&host.path().join("pipe"), Mode::S_IRWXU).unwrap();
    let folders = [folder("/data", host.path(), false)];
    for access in [Access::Read, Access::Write, Access::Create] {
        assert_eq!(DatabaseFile::open(&folders, "/data/pipe", access).unwrap_err(), Errno::EISDIR);
        assert!(DatabaseFile::open(&folders, "/data", access).is_err());
    }
}

#[test]
fn a_read_only_folder_is_only_read() {
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("a"), "a").unwrap();
    let folders = [folder("/data", host.path(), true)];
    assert!(DatabaseFile::open(&folders, "/data/a", Access::Create).unwrap().read_only);
    for access in [Access::Read, Access::Write, Access::Create, Access::CreateNew] {
        assert!(DatabaseFile::open(&folders, "/data/b", access).is_err(), "{access:?}");
    }
    assert_eq!(delete(&folders, "/data/a", false), Err(Errno::EROFS));
}

#[test]
fn locks_of_two_openings_hold_against_each_other() {
    let host = tempfile::tempdir().unwrap();
    let folders = [folder("/data", host.path(), false)];
    let open = || DatabaseFile::open(&folders, "/data/a", Access::Create).unwrap();
    let (mut one, mut two) = (open(), open());
    assert!(one.lock(Lock::Shared).unwrap() && two.lock(Lock::Shared).unwrap());
    assert!(!two.is_reserved().unwrap());
    assert!(one.lock(Lock::Reserved).unwrap() && one.is_reserved().unwrap() && two.is_reserved().unwrap());
    assert!(!two.lock(Lock::Reserved).unwrap(), "one writes at a time");
    assert!(!one.lock(Lock::Exclusive).unwrap(), "the other one still reads");
    let mut third = open();
    assert!(!third.lock(Lock::Shared).unwrap(), "who waits to write lets no new reader in");
    // A close of the same file takes no lock away.
    drop(third);
    drop(fs::File::open(host.path().join("a")).unwrap());
    two.unlock(Lock::None).unwrap();
    assert!(one.lock(Lock::Exclusive).unwrap());
    assert!(!two.lock(Lock::Shared).unwrap());
    one.unlock(Lock::Shared).unwrap();
    assert!(two.lock(Lock::Shared).unwrap());
    assert!(two.lock(Lock::Reserved).unwrap());
    drop(two);
    assert!(one.lock(Lock::Reserved).unwrap(), "locks end with their file");
}
