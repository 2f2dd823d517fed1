//! Idle actors of a crowd give back memory, and nobody can tell by what they do.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use crate::harness::{finish, guests, perigee, wait, write_app};

/// More than have places in the pool.
const ACTORS: usize = 3_000;
/// Of these so many have places in arenas, at least.
const IN_ARENAS: u64 = 2_000;
/// Unchanged data of each, in KiB: four pages of its own table, one of what it changes, and what Rust adds.
const DATA_KIB: u64 = 20;
/// Far longer than until they are asked, and have done it.
const PATIENCE: Duration = Duration::from_secs(40);

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn idle_actors_of_a_crowd_give_back_memory_and_have_all_of_their_data_again() {
    let folder = tempfile::tempdir().unwrap();
    let actors = format!(
        "{{name: doze, module: doze.wasm, args: ['{ACTORS}'], restart: {{policy: Temporary}}, limits: {{actors: 4000}}, \
         permissions: {{spawn: [doze]}}}}"
    );
    let manifest = write_app(folder.path(), &actors);
    let mut command = perigee(&["run", "--modules"]);
    let mut child = command.arg(guests()).arg(manifest).env("XDG_RUNTIME_DIR", folder.path()).spawn().unwrap();
    let (pid, mut lines) = (child.id(), BufReader::new(child.stdout.take().unwrap()).lines());
    let mut line = || lines.next().unwrap().unwrap();
    let mut gate = |what: &str| {
        let line = line();
        let gate = line.strip_prefix(what).and_then(|line| line.strip_prefix(" until ")?.strip_suffix(" is killed"));
        gate.unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    let ask = |args: &[&str]| finish(perigee(args).env("XDG_RUNTIME_DIR", folder.path())).code(0).stdout;
    let alive = gate(&format!("alive {ACTORS}"));
    let awake = resident_kib(pid);
    ask(&["kill", &alive]);
    let resting = gate("rests");
    let rests = Instant::now();
    loop {
        let now = resident_kib(pid);
        // One that is just giving back runs. The gate and the root wait too.
        let waiting = ask(&["ps"]).matches("receiving").count();
        if now + IN_ARENAS * DATA_KIB <= awake && waiting == ACTORS + 2 {
            break;
        }
        assert!(rests.elapsed() < PATIENCE, "they had {awake} KiB, then {now}; {waiting} wait");
        std::thread::sleep(Duration::from_millis(100));
    }
    ask(&["kill", &resting]);
    let quarter = ACTORS / 4;
    assert_eq!(line(), format!("round 1: {} answered, {quarter} killed", 3 * quarter));
    assert_eq!(line(), format!("round 2: {quarter} timed out, {} answered", 2 * quarter));
    wait(child).code(0);
}
