//! Runs of guest programs by `perigee run`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Setup;
use super::figures::{self, Printed};

/// What the actors of a module may use: the default of `limits.memory`, so that the figures are those of an app that sets
/// nothing.
const MEMORY: &str = "16Mi";

#[derive(Clone, Copy)]
pub(super) struct Guest {
    name: &'static str,
    args: &'static [&'static str],
    /// Actors that it has alive at once, where that is more than the default.
    actors: Option<u32>,
}

impl Guest {
    /// Name of the highest resident memory of `perigee`, in bytes.
    pub(super) const PEAK: &'static str = "peak_rss";
    /// Name of its resident memory when it prints that its actors have rested.
    pub(super) const RESTED: &'static str = "rested_rss";
    /// Name of the rate on one core.
    pub(super) const ONE_CORE: &'static str = "one_core_per_second";

    pub(super) const fn new(name: &'static str, args: &'static [&'static str]) -> Self {
        Self { name, args, actors: None }
    }

    pub(super) const fn among(self, actors: u32) -> Self {
        Self { actors: Some(actors), ..self }
    }

    pub(super) fn run(self, setup: &Setup) -> anyhow::Result<Printed> {
        read(self.with(Command::new(&setup.perigee), setup)?)
    }

    pub(super) fn run_on_one_core_too(self, setup: &Setup) -> anyhow::Result<Printed> {
        let mut printed = self.run(setup)?;
        let core = first_core(&fs::read_to_string("/proc/self/status")?)?;
        let mut confined = Command::new("taskset");
        confined.args(["--cpu-list", &core]).arg(&setup.perigee);
        let alone = read(self.with(confined, setup)?)?;
        printed.set(Self::ONE_CORE, alone.get("per_second").context("it prints no rate on one core")?);
        Ok(printed)
    }

    /// The command with the arguments of `perigee`.
    fn with(self, mut command: Command, setup: &Setup) -> anyhow::Result<Command> {
        let module = setup.module(self.name)?;
        match self.actors {
            None => command.args(["run", "--memory", MEMORY]).arg(module).args(self.args),
            Some(actors) => command.args(["run", "--modules"]).arg(&setup.guests).arg(setup.manifest(
                self.name,
                self.args,
                actors,
                &Value::Null,
            )?),
        };
        Ok(command)
    }
}

impl Setup {
    pub(super) fn module(&self, guest: &str) -> anyhow::Result<PathBuf> {
        let module = self.guests.join(format!("{guest}.wasm"));
        ensure!(module.is_file(), "{} is not there: run `make guests`", module.display());
        Ok(module)
    }

    /// An app of one class that may spawn so many of itself, for what `perigee run` of a module does not give.
    pub(super) fn manifest(&self, guest: &str, args: &[&str], actors: u32, network: &Value) -> anyhow::Result<PathBuf> {
        let mut permissions = json!({"spawn": ["bench"]});
        if !network.is_null() {
            permissions["network"] = network.clone();
        }
        let manifest = json!({
            "apiVersion": "perigee.dev/v1alpha1", "kind": "ActorApp", "metadata": {"name": "bench"},
            "spec": {"actors": [{
                // Not the guest's: a name of a class has no underscore.
                "name": "bench", "module": format!("{guest}.wasm"), "args": args,
                "restart": {"policy": "Temporary"}, "limits": {"actors": actors}, "permissions": permissions,
            }]},
        });
        // JSON is YAML.
        let path = self.folder.path().join(format!("{guest}.yaml"));
        fs::write(&path, manifest.to_string())?;
        Ok(path)
    }
}

/// Runs a program to its end. Its highest memory is read while it still lives: with its last line but one.
pub(super) fn read(mut command: Command) -> anyhow::Result<Printed> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| anyhow::anyhow!("{command:?} cannot be started: {error}"))?;
    let (output, mut errors) = (child.stdout.take().context("a pipe")?, child.stderr.take().context("a pipe")?);
    // What it complains of, so that a failure says why.
    let complaints = std::thread::spawn(move || std::io::read_to_string(&mut errors).unwrap_or_default());
    let mut printed = Printed::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        printed.read(&line);
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", child.id())) else { continue };
        if let Some(bytes) = figures::peak_of(&status) {
            // The kernel's own peak is of one program, and may fall short of what it told before: it adds its counters up roughly.
            printed.raise(Guest::PEAK, bytes);
        }
        if let Some(bytes) = figures::field(&status, "VmRSS:").filter(|_| line.starts_with("rested")) {
            printed.set(Guest::RESTED, bytes);
        }
    }
    let status = child.wait()?;
    let complaints = complaints.join().unwrap_or_default();
    ensure!(status.success(), "{status}: {}", complaint(&complaints));
    Ok(printed)
}

/// The last thing that a program complained of; of what `perigee` says of a trap, the guest's own words.
fn complaint(text: &str) -> String {
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let words = last.split_once("its last words: ").map_or(last, |(_, words)| words);
    words.chars().take(300).collect()
}

/// The first of the cores that this process may use, from a `/proc/PID/status`.
fn first_core(status: &str) -> anyhow::Result<String> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    Ok(list.trim().split(['-', ',']).next().unwrap_or("0").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_core_is_one_that_may_be_used() {
        let core = |list: &str| first_core(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n")).unwrap();
        assert_eq!(core("0-1"), "0");
        assert_eq!(core("3,5-7"), "3");
        assert!(first_core("Name:\tx\n").is_err());
    }

    #[test]
    fn memory_is_read_when_the_actors_have_rested() {
        let mut shell = Command::new("sh");
        // The next program in its place is smaller, as the one that a shell makes of its last command.
        let larger = "x=$(head -c 4000000 /dev/zero | tr '\\0' x); echo alive 5; echo rested=0; sleep 1";
        shell.args(["-c", &format!("{larger}; exec sh -c 'echo answered 5; sleep 1; :'")]);
        let printed = read(shell).unwrap();
        let (rested, peak) = (printed.get(Guest::RESTED).unwrap(), printed.get(Guest::PEAK).unwrap());
        assert!(0.0 < rested && rested <= peak, "{rested} of {peak}");
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo per_second=5; echo first >&2; echo it has no room >&2; exit 3"]);
        let error = read(shell).err().unwrap().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("it has no room"), "{error}");
        assert!(read(Command::new("/nowhere/at/all")).is_err());
        assert_eq!(complaint("INFO x\nperigee: actor 1 trapped: a < b < c; its last words: no room\n\n"), "no room");
    }
}
