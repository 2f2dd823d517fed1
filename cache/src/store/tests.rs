use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

/// Bytes of an entry beside its code.
const TRAILER: u64 = 120;

fn key(module: &str) -> Key {
    Key { module: Digest::of(module.as_bytes()), engine: Digest::of(b"engine") }
}

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("code")
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.path(), 1 << 20).unwrap()
    }

    fn file(&self, module: &str) -> PathBuf {
        self.path().join(key(module).file_name())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn begin(cache: &Cache, module: &str) -> Writer {
    match cache.get_or_begin(&key(module), Duration::ZERO).unwrap() {
        Turn::Mine(writer) => writer,
        Turn::Ready(entry) => panic!("it is there: {entry:?}"),
    }
}

fn add(cache: &Cache, module: &str, code: &[u8]) -> Result<Entry, CacheError> {
    let writer = begin(cache, module);
    writer.file().write_all(code).unwrap();
    cache.commit(writer)
}

fn code(cache: &Cache, module: &str) -> Option<Vec<u8>> {
    let entry = cache.get(&key(module)).unwrap()?;
    let mut all = fs::read(entry.path()).unwrap();
    all.truncate(all.len() - usize::try_from(TRAILER).unwrap());
    Some(all)
}

#[test]
fn what_was_added_is_found_again_by_its_owner_alone() {
    let node = Node::new();
    let cache = node.cache();
    assert!(cache.get(&key("a")).unwrap().is_none());
    let entry = add(&cache, "a", b"native").unwrap();
    assert_eq!(entry.path(), node.file("a"));
    assert_eq!(code(&node.cache(), "a").unwrap(), b"native");
    assert!(cache.get(&Key { engine: Digest::of(b"other"), ..key("a") }).unwrap().is_none());
    assert_eq!(fs::metadata(node.path()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(node.file("a")).unwrap().mode() & 0o777, 0o444);
    assert_eq!(node.names().len(), 1, "neither locks nor halves are left: {:?}", node.names());
    Entry::mounted(entry.path()).unwrap();
}

#[test]
fn a_broken_entry_is_never_handed_out_and_is_made_again() {
    let node = Node::new();
    let cache = node.cache();
    let whole = |module| {
        drop(add(&cache, module, b"native code").unwrap());
        fs::read(node.file(module)).unwrap()
    };
    let original = whole("a");
    let foreign = whole("b");
    let mut cases: Vec<(String, Vec<u8>)> = vec![("foreign".into(), foreign), ("empty".into(), vec![])];
    for at in 0..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 1;
        cases.push((format!("bit of byte {at}"), flipped));
        cases.push((format!("cut at {at}"), original[..at].to_vec()));
    }
    cases.push(("longer".into(), [&original[..], b"x"].concat()));
    for (what, bytes) in cases {
        fs::remove_file(node.file("a")).unwrap();
        fs::write(node.file("a"), bytes).unwrap();
        fs::set_permissions(node.file("a"), Permissions::from_mode(0o444)).unwrap();
        assert!(cache.get(&key("a")).unwrap().is_none(), "{what}");
        assert!(!node.file("a").exists(), "{what}");
        drop(add(&cache, "a", b"native code").unwrap());
        assert_eq!(code(&cache, "a").unwrap(), b"native code", "{what}");
    }
}

#[test]
fn what_is_planted_in_the_folder_is_removed_and_not_followed() {
    let node = Node::new();
    let cache = node.cache();
    let outside = node.folder.path().join("outside");
    drop(add(&cache, "a", b"native").unwrap());
    fs::copy(node.file("a"), &outside).unwrap();
    type Plant<'a> = (&'static str, &'a dyn Fn(&Path));
    let plant: [Plant<'_>; 4] = [
        ("link", &|path| symlink(&outside, path).unwrap()),
        ("folder", &|path| fs::create_dir(path).unwrap()),
        ("fifo", &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        ("writable", &|path| {
            fs::copy(&outside, path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (what, plant) in plant {
        cache.folder.remove(&key("a").file_name()).unwrap();
        plant(&node.file("a"));
        assert!(cache.get(&key("a")).unwrap().is_none(), "{what}");
        assert!(outside.is_file(), "{what}");
        drop(add(&cache, "a", b"native").unwrap());
        assert_eq!(code(&cache, "a").unwrap(), b"native", "{what}");
    }
    // A link where the lock goes.
    symlink(&outside, node.path().join(key("b").file_name() + LOCK)).unwrap();
    assert!(cache.get_or_begin(&key("b"), Duration::ZERO).is_err());
    assert_eq!(fs::read(&outside).unwrap().len() as u64, 6 + TRAILER);
}

#[test]
fn the_one_that_was_not_used_for_longest_is_evicted_and_the_bound_holds() {
    let node = Node::new();
    let cache = node.cache();
    let large = vec![7; usize::try_from(cache.most()).unwrap() - 4096];
    for number in 0..40 {
        drop(add(&cache, &format!("m{number}"), &large).unwrap());
        // The first one is asked for again and again.
        assert!(cache.get(&key("m0")).unwrap().is_some(), "after {number}");
        let held: u64 = cache.list().unwrap().iter().map(|entry| entry.bytes).sum();
        assert!(held <= (1 << 20) * 3 / 4, "{held}");
        thread::sleep(Duration::from_millis(2));
    }
    assert!(cache.get(&key("m39")).unwrap().is_some());
    assert!(cache.get(&key("m1")).unwrap().is_none());
}

#[test]
fn what_is_in_use_is_not_evicted_and_then_there_is_no_room() {
    let node = Node::new();
    let cache = node.cache();
    let large = vec![7; usize::try_from(cache.most()).unwrap() - 4096];
    let used: Vec<_> = (0..12).map(|number| add(&cache, &format!("m{number}"), &large).unwrap()).collect();
    assert!(matches!(add(&cache, "one more", &large), Err(CacheError::Full { .. })));
    assert!(used.iter().all(|entry| entry.path().is_file()));
    assert_eq!(cache.clear().unwrap(), (0, 12));
    drop(used);
    drop(add(&cache, "one more", &large).unwrap());
    assert_eq!(cache.clear().unwrap(), (12, 0));
    assert_eq!(node.names(), Vec::<String>::new());
}

#[test]
fn one_module_takes_its_share_and_not_a_byte_more() {
    let node = Node::new();
    let cache = node.cache();
    let most = usize::try_from(cache.most()).unwrap();
    drop(add(&cache, "most", &vec![0; most]).unwrap());
    assert!(matches!(add(&cache, "more", &vec![0; most + 1]), Err(CacheError::TooLarge { .. })));
    assert_eq!(node.names().len(), 1);
}

#[test]
fn so_many_write_at_once_and_one_who_died_is_not_counted() {
    let node = Node::new();
    let cache = node.cache();
    let mut writers: Vec<_> = (0..4).map(|number| begin(&cache, &format!("m{number}"))).collect();
    assert!(matches!(cache.get_or_begin(&key("fifth"), Duration::ZERO), Err(CacheError::Busy { writers: 4 })));
    // As after kill -9: the files are there, the locks are not.
    let last = writers.pop().unwrap();
    fs::write(node.path().join("new-1-1"), "half").unwrap();
    fs::write(node.path().join(key("dead").file_name() + LOCK), "").unwrap();
    drop(last);
    drop(begin(&cache, "fifth"));
    assert!(!node.path().join("new-1-1").exists());
    assert!(!node.path().join(key("dead").file_name() + LOCK).exists());
}

#[test]
fn one_compiles_and_the_others_wait_for_it() {
    let node = Node::new();
    let compiled = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let cache = node.cache();
                match cache.get_or_begin(&key("a"), Duration::from_secs(60)).unwrap() {
                    Turn::Ready(entry) => assert_eq!(fs::metadata(entry.path()).unwrap().len(), 6 + TRAILER),
                    Turn::Mine(writer) => {
                        compiled.fetch_add(1, Ordering::SeqCst);
                        writer.file().write_all(b"nat").unwrap();
                        thread::sleep(Duration::from_millis(30));
                        writer.file().write_all(b"ive").unwrap();
                        drop(cache.commit(writer).unwrap());
                    }
                }
            });
        }
    });
    assert_eq!(compiled.into_inner(), 1);
}

#[test]
fn one_that_takes_too_long_or_gives_up_is_not_waited_for() {
    let node = Node::new();
    let cache = node.cache();
    let slow = begin(&cache, "a");
    let other = begin(&cache, "a");
    other.file().write_all(b"native").unwrap();
    drop(cache.commit(other).unwrap());
    slow.file().write_all(b"native").unwrap();
    drop(cache.commit(slow).unwrap());
    assert_eq!(code(&cache, "a").unwrap(), b"native");
    drop(begin(&cache, "b"));
    drop(add(&cache, "b", b"native").unwrap());
}
