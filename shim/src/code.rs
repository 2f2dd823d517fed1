//! Compiled code for a container's modules: from the node's cache, or compiled into it, at the expense of the pod.
//!
//! ```text
//! module in the image --digest--> entry of the cache, checked --------------------> mounted read-only for the worker
//!                                  missing: copy -> `perigee compile` -> entry -/
//! ```
//! The module is hostile, and so may be, after it was read, whoever compiled it. So the compiler is a process without
//! rights, in a cgroup of the pod, that sees a copy of the module whose digest is known, and one open file that becomes
//! the entry of that very module: it cannot change what another module gets. Whatever fails besides the module itself is
//! logged, and the worker compiles in its container as if there were no cache.

use std::{
    fs::{self, File},
    hash::Hasher as _,
    io::{self, Read, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use perigee_cache::{Cache, CacheError, Digest, Digester, Entry, Key, MAX_MODULE, Turn, Writer};
use perigee_spec::AppSpec;
use tokio::io::AsyncReadExt as _;

use crate::{compile_cgroup::CompileCgroup, image::ImageError, reaper::Reaper};

/// How long another pod that compiles the same module is waited for. It may have less of the processor than this one.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a module may be compiled; the rest of the kubelet's 2 minutes is for the container itself.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);
/// Exit code of `perigee compile` for a module that cannot be run (`CANNOT_RUN` of the worker).
const BAD_MODULE: u32 = 126;
/// Most bytes of its message.
const MESSAGE_CAP: u64 = 4096;
/// In the cache: the fingerprint of the worker's engine, and of which worker.
const ENGINE: &str = "engine";

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
enum CodeError {
    /// The container cannot run.
    #[error(transparent)]
    Module(#[from] ImageError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Compiler(String),
}

/// What is needed to get code.
pub(crate) struct Source<'a> {
    pub(crate) cache: PathBuf,
    pub(crate) limit: u64,
    pub(crate) worker: &'a Path,
    pub(crate) cgroup: Option<CompileCgroup>,
    pub(crate) reaper: &'a Reaper,
}

/// Code of one module, kept from eviction as long as it lives.
pub(crate) struct Code {
    /// The first class with that module.
    pub(crate) class: String,
    pub(crate) entry: Entry,
}

impl Source<'_> {
    /// Code for the modules of an app, as far as there is any. `open` opens a module by its name.
    pub(crate) async fn code(
        &self,
        app: &AppSpec,
        open: impl Fn(&str) -> io::Result<Option<File>>,
    ) -> Result<Vec<Code>, ImageError> {
        let (mut all, mut seen) = (Vec::new(), Vec::new());
        for class in app.actors() {
            let Some(module) = class.module.as_deref().filter(|module| !seen.contains(module)) else { continue };
            seen.push(module);
            let found = match open(module) {
                Ok(Some(file)) => self.of_module(module, file).await,
                Ok(None) => Ok(None),
                Err(error) => Err(error.into()),
            };
            match found {
                Ok(Some(entry)) => all.push(Code { class: class.name.to_string(), entry }),
                Ok(None) => {}
                Err(CodeError::Module(error)) => return Err(error),
                Err(error) => log::warn!("no compiled code of {module}, the worker compiles it: {error}"),
            }
        }
        Ok(all)
    }

    async fn of_module(&self, name: &str, mut module: File) -> Result<Option<Entry>, CodeError> {
        if module.metadata()?.len() > MAX_MODULE {
            return Ok(None);
        }
        let (folder, limit) = (self.cache.clone(), self.limit);
        let cache = Arc::new(blocking(move || Ok(Cache::open(&folder, limit)?)).await?);
        let engine = self.engine(&cache).await?;
        let looked = cache.clone();
        let (found, key, module) = blocking(move || {
            let key = Key { module: copy(&mut module, &mut io::sink())?, engine };
            Ok((looked.get(&key)?, key, module))
        })
        .await?;
        if found.is_some() {
            log::debug!("{name}: compiled code from the cache");
            return Ok(found);
        }
        // Where the pod's cgroup is not known, the node would pay.
        let Some(cgroup) = &self.cgroup else { return Ok(None) };
        let begun = cache.clone();
        let (turn, copied) = blocking(move || {
            let copied = private_copy(module, &key)?;
            Ok((begun.get_or_begin(&key, PATIENCE)?, copied))
        })
        .await?;
        match turn {
            Turn::Ready(entry) => Ok(Some(entry)),
            Turn::Mine(writer) => self.compile(name, copied, writer, &cache, cgroup).await.map(Some),
        }
    }

    async fn compile(
        &self,
        name: &str,
        module: File,
        writer: Writer,
        cache: &Arc<Cache>,
        cgroup: &CompileCgroup,
    ) -> Result<Entry, CodeError> {
        let joined = cgroup.make()?;
        let mut command = Command::new(self.worker);
        let shown = Path::new(name).file_name().unwrap_or(name.as_ref());
        command.arg("compile").arg("--name").arg(shown).arg("--confine").arg("--most").arg(cache.most().to_string());
        for file in joined.files() {
            command.arg("--cgroup").arg(file);
        }
        command.stdin(module).stdout(writer.file().try_clone()?);
        let (status, message) = self.run(command).await?;
        drop(joined);
        match status {
            0 => {
                log::info!("{name}: compiled into the cache");
                let cache = cache.clone();
                blocking(move || Ok(cache.commit(writer)?)).await
            }
            BAD_MODULE => Err(ImageError::Compile { reason: message.trim().trim_start_matches("perigee: ").to_owned() }.into()),
            status => Err(CodeError::Compiler(format!("perigee compile ended with status {status}: {}", message.trim()))),
        }
    }

    /// The fingerprint of the worker's engine. Asked of each worker once in each boot: the processor may be another then.
    async fn engine(&self, cache: &Cache) -> Result<Digest, CodeError> {
        let metadata = fs::metadata(self.worker)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let (at, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        let worker = format!("{}:{}:{}:{at}.{nanoseconds}:{}", metadata.dev(), metadata.ino(), metadata.len(), boot.trim());
        let kept = cache.folder().join(ENGINE);
        let known = fs::read_to_string(&kept).ok().and_then(|text| {
            let (of, fingerprint) = text.split_once('\n')?;
            (of == worker).then(|| Digest::parse(fingerprint)).flatten()
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let mut command = Command::new(self.worker);
        let (from, to) = io::pipe()?;
        command.args(["compile", "--fingerprint", "--confine"]).stdin(Stdio::null()).stdout(to);
        let (status, message) = self.run(command).await?;
        let mut text = String::new();
        from.take(MESSAGE_CAP).read_to_string(&mut text)?;
        let fingerprint = Digest::parse(text.trim()).filter(|_| status == 0);
        let fingerprint =
            fingerprint.ok_or_else(|| CodeError::Compiler(format!("perigee compile --fingerprint: {status} {message}")))?;
        let new = tempfile::NamedTempFile::new_in(cache.folder())?;
        write!(new.as_file(), "{worker}\n{fingerprint}")?;
        new.persist(kept).map_err(|error| error.error)?;
        Ok(fingerprint)
    }

    /// Runs a command to its end. Its status, and what it said.
    async fn run(&self, mut command: Command) -> Result<(u32, String), CodeError> {
        let (from, to) = io::pipe()?;
        command.stderr(to).env_clear().current_dir("/");
        let spawned = self.reaper.spawn(&mut command);
        // The command holds our copies of its streams.
        drop(command);
        let (mut child, exited) = spawned?;
        let from = tokio::net::unix::pipe::Receiver::from_owned_fd(from.into())?;
        let said = async {
            let mut text = Vec::new();
            // All of it is read, or a talkative one would wait for ever; of that, the start counts.
            let mut first = from.take(MESSAGE_CAP);
            let read = first.read_to_end(&mut text).await;
            tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await.and(read)?;
            io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
        };
        match tokio::time::timeout(COMPILE_TIMEOUT, async { tokio::join!(exited, said) }).await {
            Ok((Ok(exit), said)) => Ok((exit.status, said?)),
            Ok((Err(_), _)) => Err(CodeError::Compiler("the end of perigee compile was not seen".to_owned())),
            Err(_) => {
                child.kill()?;
                Err(CodeError::Compiler(format!("compiling took more than {} s", COMPILE_TIMEOUT.as_secs())))
            }
        }
    }
}

/// Copies a file from its start, and returns the digest of what was copied.
fn copy(from: &mut File, to: &mut impl io::Write) -> io::Result<Digest> {
    from.rewind()?;
    let mut digester = Digester::default();
    let (mut piece, mut from) = (vec![0; 64 << 10], from.take(MAX_MODULE + 1));
    loop {
        let read = from.read(&mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return Ok(digester.digest());
        }
        digester.write(piece);
        to.write_all(piece)?;
    }
}

/// A copy that nobody else can write to: a module on a volume may change between being known and being compiled.
fn private_copy(mut module: File, key: &Key) -> Result<File, CodeError> {
    let mut private = tempfile::tempfile()?;
    if copy(&mut module, &mut private)? != key.module {
        return Err(CodeError::Compiler("the module changes while it is read".to_owned()));
    }
    private.rewind()?;
    Ok(private)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, CodeError> + Send + 'static) -> Result<T, CodeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(CodeError::Compiler(error.to_string())))
}
