//! Starts `perigee`, and says all that it printed when a test fails.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Far beyond what any of these programs takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A guest program by name.
pub(crate) fn guest(name: &str) -> PathBuf {
    let path = guests().join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is not there: run `make guests`", path.display());
    path
}

/// Folder of the guest programs.
pub(crate) fn guests() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("guests")
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository")
}

/// `perigee` with arguments.
pub(crate) fn perigee<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = piped(env!("CARGO_BIN_EXE_perigee"));
    command.args(args);
    command
}

/// A command whose output is kept.
pub(crate) fn piped(program: &str) -> Command {
    let mut command = Command::new(program);
    // Of the tests alone: what the user keeps counts for none of them.
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `perigee run GUEST ARGS`.
pub(crate) fn run(name: &str, args: &[&str]) -> Ran {
    finish(perigee(&["run"]).arg(guest(name)).args(args))
}

/// `perigee run OPTIONS GUEST ARGS`.
pub(crate) fn run_with(options: &[&str], name: &str, args: &[&str]) -> Ran {
    finish(perigee(&["run"]).args(options).arg(guest(name)).args(args))
}

/// An app of these classes, in YAML flow style, with the modules of the guests.
pub(crate) fn run_app(actors: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app(folder.path(), actors);
    finish(perigee(&["run", "--modules"]).arg(guests()).arg(manifest))
}

/// The same, with more fields of the app's `spec`.
pub(crate) fn run_app_with(fields: &str, actors: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_app_with(folder.path(), fields, actors);
    finish(perigee(&["run", "--modules"]).arg(guests()).arg(manifest))
}

pub(crate) fn write_app(folder: &Path, actors: &str) -> PathBuf {
    write_app_with(folder, "", actors)
}

fn write_app_with(folder: &Path, fields: &str, actors: &str) -> PathBuf {
    let path = folder.join("app.yaml");
    let text = format!(
        "{{apiVersion: perigee.dev/v1alpha1, kind: ActorApp, metadata: {{name: test}}, spec: {{{fields}actors: [{actors}]}}}}"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    wait(command.spawn().unwrap())
}

/// Waits for a command; one that hangs is killed and fails the test.
pub(crate) fn wait(mut child: Child) -> Ran {
    let (pid, started) = (child.id(), Instant::now());
    let (done, gone) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if gone.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill(pid, "KILL");
        }
    });
    // Both pipes are read while it runs, or a talkative one would block.
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let status = child.wait().unwrap();
    drop(done);
    watchdog.join().unwrap();
    let text = |pipe: Option<thread::JoinHandle<String>>| pipe.map(|pipe| pipe.join().unwrap()).unwrap_or_default();
    let ran = Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    assert!(started.elapsed() < PATIENCE, "it hung: {ran:#?}");
    ran
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sends a signal to a process that a test started.
pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "should print {text:?}: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn prints_not(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text), "should not print {text:?}: {self:#?}");
        self
    }

    /// All of the parts are in the log.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "should say {part:?}: {self:#?}");
        }
        self
    }
}
