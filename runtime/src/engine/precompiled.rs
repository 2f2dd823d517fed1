//! Native code from files: the one place where bytes become code.

use perigee_cache::{Digest, Digester, Entry};
use std::hash::Hash as _;
use wasmtime::{Engine, Module};

use super::ProgramError;
use super::config;
use super::program::check_kind;

/// Maps the code of an entry.
///
/// Its pages are shared with every process that maps it. What Wasmtime checks besides, cheaply: that the code was
/// compiled by this version, for this configuration and for a processor that has all that it uses.
#[expect(unsafe_code, reason = "to run code from a file, its origin must be ours, which the compiler cannot check")]
#[expect(clippy::disallowed_methods, reason = "this is the place that the lint points to")]
pub(super) fn load(engine: &Engine, entry: &Entry) -> wasmtime::Result<Module> {
    let file = entry.file().try_clone()?;
    // SAFETY: an `Entry` is a whole file that one of us wrote from Wasmtime's own output: into a folder that only its
    // user can enter, or mounted read-only by the shim, which checked it. An image cannot provide one: what the shim
    // mounts lies over it. Entries are unlinked, but never written to again.
    unsafe { Module::deserialize_open_file(engine, file) }
}

/// What code depends on besides its module: versions, configuration, processor.
pub(super) fn fingerprint(engine: &Engine) -> Digest {
    let mut digester = Digester::default();
    env!("CARGO_PKG_VERSION").hash(&mut digester);
    // Of Wasmtime: its version, the settings of the compiler, the features of the processor that it found.
    engine.precompile_compatibility_hash().hash(&mut digester);
    digester.digest()
}

/// Compiles, and runs nothing.
pub struct Compiler(Engine);

impl Compiler {
    /// A compiler for this machine.
    ///
    /// # Errors
    /// Wasmtime does not know the machine.
    pub fn new() -> wasmtime::Result<Self> {
        Engine::new(&config::config(config::Allocation::OnDemand)).map(Self)
    }

    /// The code of a module, as [`Engine::load`](super::Engine::load) takes it from the cache.
    ///
    /// # Errors
    /// What is wrong with the module, named by `name`.
    pub fn compile(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, ProgramError> {
        check_kind(name, bytes)?;
        self.0
            .precompile_module(bytes)
            .map_err(|error| ProgramError::Invalid { name: name.to_owned(), reason: format!("{error:#}") })
    }

    /// See [`Engine::fingerprint`](super::Engine::fingerprint).
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        fingerprint(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use perigee_cache::{Cache, Key, Turn};

    use super::*;
    use crate::engine::{Capacity, Engine};

    /// An empty module.
    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn entry(folder: &std::path::Path, code: &[u8]) -> Entry {
        let cache = Cache::open(&folder.join("code"), 1 << 30).unwrap();
        let key = Key { module: Digest::of(code), engine: Digest::of(b"") };
        let Turn::Mine(writer) = cache.get_or_begin(&key, Duration::ZERO).unwrap() else { panic!("it is empty") };
        writer.file().write_all(code).unwrap();
        cache.commit(writer).unwrap()
    }

    #[test]
    fn code_of_the_compiler_runs_in_engines_of_every_size() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = Compiler::new().unwrap();
        let code = entry(folder.path(), &compiler.compile("empty.wasm", EMPTY).unwrap());
        for actors in [16, 100] {
            let engine = Engine::new(Capacity { actors }).unwrap();
            assert_eq!(engine.fingerprint(), compiler.fingerprint(), "{actors}");
            engine.load("empty.wasm", &code, || Ok(EMPTY.to_vec())).unwrap();
        }
    }

    #[test]
    fn code_of_another_configuration_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = config::config(config::Allocation::OnDemand);
        other.epoch_interruption(false);
        let other = wasmtime::Engine::new(&other).unwrap();
        let engine = Engine::new(Capacity { actors: 16 }).unwrap();
        assert_ne!(fingerprint(&other), engine.fingerprint());
        let code = entry(folder.path(), &other.precompile_module(EMPTY).unwrap());
        assert!(matches!(engine.load("empty.wasm", &code, || Ok(EMPTY.to_vec())), Err(ProgramError::Code { .. })));
        let code = entry(folder.path(), b"no code at all");
        assert!(matches!(engine.load("empty.wasm", &code, || Ok(EMPTY.to_vec())), Err(ProgramError::Code { .. })));
    }
}
