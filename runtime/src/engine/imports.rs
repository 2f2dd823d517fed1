//! Whether a module can spawn actors, told by what it imports before there is an engine that could read it.
//!
//! It is a guess to the safe side: whatever is not surely without spawning counts as spawning. Whoever exchanges the module
//! afterwards gets actors that find no room.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use wasmparser::{Chunk, Encoding, Parser, Payload};

/// How much of a module is looked at: imports come second, after the types.
const START_BYTES: u64 = 256 << 10;
/// What the names of host functions that spawn have in them: `spawn`, `get_or_spawn`.
const SPAWNING: &str = "spawn";

/// Whether the module of that file may spawn.
pub(super) fn can_spawn(module: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(module).and_then(|file| file.take(START_BYTES).read_to_end(&mut start));
    read.is_err() || !imports_no_spawn(&start)
}

fn imports_no_spawn(mut start: &[u8]) -> bool {
    let mut parser = Parser::new(0);
    loop {
        let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(start, false) else { return false };
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } | Payload::CustomSection(_) | Payload::TypeSection(_) => {}
            Payload::ImportSection(imports) => {
                return imports.into_imports().all(|import| import.is_ok_and(|import| !import.name.contains(SPAWNING)));
            }
            // It comes after the imports.
            Payload::FunctionSection(_) => return true,
            _ => return false,
        }
        start = start.get(consumed..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cannot_spawn(text: &str) -> bool {
        imports_no_spawn(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn only_what_surely_cannot_spawn_does_not_count() {
        assert!(cannot_spawn(
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (import "wasi_unstable" "x" (func)))"#
        ));
        assert!(cannot_spawn("(module (func) (memory 1))"));
        assert!(cannot_spawn(r#"(module (import "lunatic::message" "receive" (func)) (import "perigee" "receive" (func)))"#));
        assert!(!cannot_spawn(
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (import "lunatic::process" "spawn" (func)))"#
        ));
        assert!(!cannot_spawn(r#"(module (import "perigee:actor" "spawn" (func)))"#));
        assert!(!cannot_spawn("(component)"));
        for broken in [b"".as_slice(), b"\0asm", b"\0asm\x01\0\0\0", b"\x7fELF", b"\0asm\x01\0\0\0\x02\x05\xff\xff\xff\xff\x0f"] {
            assert!(!imports_no_spawn(broken), "{broken:?}");
        }
    }

    #[test]
    fn imports_beyond_what_is_read_count_as_spawning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module");
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        // A custom section of 300,000 bytes with an empty name.
        module.extend([0, 0xe1, 0xa7, 0x12, 0]);
        module.resize(module.len() + 300_000, 0);
        let imports = wat::parse_str(r#"(module (import "wasi_unstable" "x" (func)))"#).unwrap();
        module.extend(&imports[8..]);
        assert!(imports_no_spawn(&module));
        std::fs::write(&path, &module).unwrap();
        assert!(can_spawn(&path));
    }
}
