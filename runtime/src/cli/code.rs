//! Where the code of modules comes from: compiled here, kept in this user's cache, or mounted by the shim.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use perigee_cache::{Cache, CacheError, DEFAULT_LIMIT, Digest, Entry, Key, MAX_MODULE, Turn, Writer};
use perigee_runtime::{Engine, Program};

/// How long another process that compiles the same module is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A source of code.
pub(super) enum Code {
    /// Each module is compiled.
    Compile,
    /// A folder with code that the shim prepared: a file for a class, by its name.
    Mounted(PathBuf),
    /// The user's own cache.
    Cache(Cache),
}

impl Code {
    /// The user's cache. Where it cannot be used, modules are compiled.
    pub(super) fn of_user() -> Self {
        let Some(folder) = folder() else { return Self::Compile };
        match Cache::open(&folder, DEFAULT_LIMIT) {
            Ok(cache) => Self::Cache(cache),
            Err(error) => {
                tracing::warn!("compiled code is not kept: {error}");
                Self::Compile
            }
        }
    }

    /// The program of a class whose module is at `path`.
    pub(super) fn program(&self, engine: &Engine, class: &str, path: &Path) -> anyhow::Result<Program> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        if let Self::Mounted(folder) = self
            && let Some(program) = mounted(engine, &name, &folder.join(class), path)
        {
            return Ok(program);
        }
        let bytes = std::fs::read(path).with_context(|| format!("the module {} cannot be read", path.display()))?;
        let Self::Cache(cache) = self else { return compile(engine, &name, &bytes) };
        match turn(cache, engine, &bytes) {
            Ok(Some(Turn::Ready(entry))) => match engine.load(&name, &entry, || Ok(bytes.clone())) {
                Ok(program) => {
                    tracing::debug!("mapped the compiled code of {name}");
                    Ok(program)
                }
                Err(error @ perigee_runtime::ProgramError::Code { .. }) => {
                    tracing::warn!("{error}; compiling it");
                    compile(engine, &name, &bytes)
                }
                Err(error) => Err(error.into()),
            },
            Ok(Some(Turn::Mine(writer))) => {
                let program = compile(engine, &name, &bytes)?;
                if let Err(error) = keep(cache, writer, &program) {
                    tracing::warn!("the compiled code of {name} is not kept: {error}");
                }
                Ok(program)
            }
            Ok(None) => compile(engine, &name, &bytes),
            Err(error) => {
                tracing::warn!("the compiled code of {name} is not kept: {error}");
                compile(engine, &name, &bytes)
            }
        }
    }
}

/// Folder of the user's cache; none without a home.
pub(super) fn folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("perigee/code"))
}

fn turn(cache: &Cache, engine: &Engine, module: &[u8]) -> Result<Option<Turn>, CacheError> {
    if module.len() as u64 > MAX_MODULE {
        return Ok(None);
    }
    let key = Key { module: Digest::of(module), engine: engine.fingerprint() };
    cache.get_or_begin(&key, PATIENCE).map(Some)
}

fn keep(cache: &Cache, writer: Writer, program: &Program) -> anyhow::Result<()> {
    let code = program.code()?;
    writer.file().write_all(&code)?;
    cache.commit(writer)?;
    Ok(())
}

fn mounted(engine: &Engine, name: &str, code: &Path, module: &Path) -> Option<Program> {
    if !code.exists() {
        return None;
    }
    match Entry::mounted(code)
        .map_err(anyhow::Error::from)
        .and_then(|entry| Ok(engine.load(name, &entry, || std::fs::read(module))?))
    {
        Ok(program) => {
            tracing::debug!("mapped the compiled code of {name}");
            Some(program)
        }
        // Whatever it is, compiling it will say so.
        Err(error) => {
            tracing::warn!("{error:#}; compiling it");
            None
        }
    }
}

fn compile(engine: &Engine, name: &str, bytes: &[u8]) -> anyhow::Result<Program> {
    let started = Instant::now();
    let program = engine.compile(name, bytes)?;
    tracing::debug!("compiled {name} ({} KiB) in {} ms", bytes.len() / 1024, started.elapsed().as_millis());
    Ok(program)
}
