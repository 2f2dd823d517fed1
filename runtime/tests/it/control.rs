//! Looking at the actors of a running app, and killing some: `perigee ps` and its like, and a worker's control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::harness::{Ran, finish, guests, kill, perigee, wait, write_app};

/// An app that runs, with a folder of control sockets of its own.
struct App {
    child: Child,
    folder: tempfile::TempDir,
}

impl App {
    fn start(actors: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = write_app(folder.path(), actors);
        let mut command = perigee(&["run", "--grace", "0", "--modules"]);
        let child = command.arg(guests()).arg(manifest).env("XDG_RUNTIME_DIR", folder.path()).spawn().unwrap();
        let app = Self { child, folder };
        app.until(&["healthy"], |ran| ran.code == Some(0));
        app
    }

    fn ask(&self, args: &[&str]) -> Ran {
        finish(perigee(args).env("XDG_RUNTIME_DIR", self.folder.path()))
    }

    #[track_caller]
    fn until(&self, args: &[&str], holds: impl Fn(&Ran) -> bool) -> Ran {
        let started = Instant::now();
        loop {
            let ran = self.ask(args);
            if holds(&ran) {
                return ran;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{ran:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ps(&self) -> serde_json::Value {
        let ran = self.ask(&["ps", "-o", "json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn end(mut self) -> Ran {
        kill(self.child.id(), "TERM");
        // Nobody else has read it.
        self.child.stdin.take();
        wait(self.child)
    }
}

/// A busy one, and one that has 20 below it which wait.
const ACTORS: &str = "{name: busy, module: c_spin.wasm}, \
    {name: crowd, module: many_actors.wasm, args: ['20', '600000'], permissions: {spawn: [crowd]}}";

fn of<'a>(list: &'a serde_json::Value, class: &str) -> Vec<&'a serde_json::Value> {
    list["actors"].as_array().unwrap().iter().filter(|actor| actor["class"] == class).collect()
}

#[test]
fn ps_top_and_tree_show_all_actors_and_inspect_one() {
    let app = App::start(ACTORS);
    app.until(&["ps"], |ran| ran.stdout.matches("receiving").count() == 20);
    let text = app.ask(&["ps"]).code(0).prints("ID  CLASS  NAME").stdout;
    assert_eq!(text.lines().count(), 23, "{text}");
    let list = app.ps();
    let (busy, crowd) = (of(&list, "busy")[0], of(&list, "crowd"));
    assert_eq!(crowd.len(), 21);
    let (root, children): (Vec<_>, Vec<_>) = crowd.into_iter().partition(|actor| actor["spawner"].is_null());
    assert!(children.iter().all(|child| child["spawner"] == root[0]["id"] && child["state"] == "receiving"));
    assert!(children.iter().all(|child| child["restarts"].is_null()) && root[0]["restarts"] == 0);
    assert!(children.iter().all(|child| child["memoryBytes"].as_u64().unwrap() >= 64 << 10), "a page at least");
    assert!(busy["state"] == "running" || busy["state"] == "ready", "{busy}");

    let top = app.ask(&["top", "-o", "json"]).code(0).stdout;
    let top: serde_json::Value = serde_json::from_str(&top).unwrap();
    assert_eq!(top["actors"][0]["class"], "busy", "the busiest first: {top}");
    assert!(top["actors"][0]["cpuPercent"].as_f64().unwrap() > 20.0, "{top}");
    assert!(top["actors"][5]["cpuPercent"].as_f64().unwrap() < 5.0, "{top}");
    let text = app.ask(&["top"]).code(0).prints("22 actors with ").stdout;
    assert!(!text.contains('\u{1b}'), "once, and for no terminal: {text:?}");

    let tree = app.ask(&["tree"]).code(0).stdout;
    assert_eq!(tree.matches("\n  crowd ").count(), 20, "{tree}");
    let tree: serde_json::Value = serde_json::from_str(&app.ask(&["tree", "--output", "json"]).code(0).stdout).unwrap();
    assert_eq!(tree["actors"].as_array().unwrap().iter().filter(|actor| actor["depth"] == 1).count(), 20);

    let id = children[0]["id"].to_string();
    app.ask(&["inspect", &id])
        .code(0)
        .prints("class:           crowd")
        .prints(&format!("spawner:         {}", root[0]["id"]))
        .prints("receiving (");
    let one: serde_json::Value = serde_json::from_str(&app.ask(&["inspect", &id, "-o", "json"]).code(0).stdout).unwrap();
    assert_eq!(
        (&one["id"], &one["awaitedTags"], &one["mailbox"]["messages"]),
        (&children[0]["id"], &serde_json::json!([]), &0.into())
    );
    app.ask(&["inspect", "999999"]).code(1).says(&["no actor 999999 is alive"]);
    app.ask(&["inspect", "x"]).code(2);
    app.end().code(143);
}

#[test]
fn processor_time_is_that_of_the_actor_and_grows() {
    let app = App::start(ACTORS);
    let spent = |list: &serde_json::Value, class: &str| {
        of(list, class).iter().map(|actor| actor["cpuMicroseconds"].as_u64().unwrap()).sum::<u64>()
    };
    let (started, before) = (Instant::now(), app.ps());
    std::thread::sleep(Duration::from_secs(2));
    let (after, took) = (app.ps(), started.elapsed());
    let ran = Duration::from_micros(spent(&after, "busy") - spent(&before, "busy"));
    assert!(ran <= took + Duration::from_millis(200), "no more than there was: {ran:?} of {took:?}");
    assert!(ran >= Duration::from_millis(500), "it never suspends: {ran:?} of {took:?}");
    assert!(spent(&after, "crowd") - spent(&before, "crowd") < 200_000, "these only wait");
    app.end().code(143);
}

#[test]
fn a_killed_actor_is_gone_when_the_command_returns_and_a_declared_one_starts_again() {
    let app = App::start(ACTORS);
    app.until(&["ps"], |ran| ran.stdout.matches("receiving").count() == 20);
    let list = app.ps();
    // One that spins is killed too.
    let busy = of(&list, "busy")[0]["id"].to_string();
    app.ask(&["kill", &busy]).code(0).prints(&format!("actor {busy} (class busy) was killed"));
    app.ask(&["kill", &busy]).code(1).says(&[&format!("no actor {busy} is alive: `ps` lists those that are")]);
    app.until(&["healthy"], |ran| ran.code == Some(0));
    let list = app.ps();
    assert_eq!(of(&list, "busy")[0]["restarts"], 1, "{list}");
    assert_ne!(of(&list, "busy")[0]["id"].to_string(), busy);
    let child = of(&list, "crowd").into_iter().find(|actor| !actor["spawner"].is_null()).unwrap()["id"].to_string();
    app.ask(&["kill", &child]).code(0);
    assert_eq!(of(&app.ps(), "crowd").len(), 20, "no more than that one");
    app.end().code(143).says(&["is killed by the control socket"]);
}

#[test]
fn an_actor_that_waits_for_its_restart_is_not_healthy_and_is_listed() {
    let app = App::start(
        "{name: sound, module: c_spin.wasm}, \
         {name: fragile, module: crash.wasm, args: ['200', trap], restart: {policy: Permanent, maxRestarts: 100, backoff: 30s, maxBackoff: 60s}}",
    );
    app.until(&["healthy"], |ran| ran.code == Some(1)).prints("not healthy: fragile starts in ");
    app.ask(&["ps"]).code(0).prints("starts in ").prints("sound");
    let list = app.ps();
    let down = &list["down"][0];
    assert_eq!((&down["class"], &down["restarts"]), (&"fragile".into(), &0.into()));
    assert!((1..=30_000).contains(&down["restartInMilliseconds"].as_u64().unwrap()), "{list}");
    app.end().code(143);
}

#[test]
fn an_app_is_chosen_by_name_or_process_and_help_needs_none() {
    let nobody = tempfile::tempdir().unwrap();
    let ask = |args: &[&str]| finish(perigee(args).env("XDG_RUNTIME_DIR", nobody.path()));
    ask(&["ps"]).code(1).says(&["no app runs here: start one with `perigee run`"]);
    ask(&["ps", "--help"]).code(0).prints("receiving (waits for a message)");
    let app = App::start(ACTORS);
    let pid = app.child.id().to_string();
    for name in ["test", &pid] {
        app.ask(&["healthy", "--app", name]).code(0).prints("healthy: ");
    }
    app.ask(&["ps", "--app", "other"]).code(1).says(&["no app other runs here; there are test (process ", &pid]);
    let socket = app.folder.path().join("perigee").join(format!("{pid}.test"));
    assert!(socket.exists());
    let ran = {
        let App { child, folder } = app;
        kill(child.id(), "TERM");
        let ran = wait(child);
        assert!(!socket.exists(), "it is removed with the app");
        drop(folder);
        ran
    };
    ran.code(143);
}

/// A worker with a control socket, as the shim starts it.
struct Worker {
    child: Child,
    socket: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Worker {
    fn start(actors: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app.json");
        let text = format!(
            "{{apiVersion: perigee.dev/v1alpha1, kind: ActorApp, metadata: {{name: test}}, spec: {{actors: [{actors}]}}}}"
        );
        let spec = perigee_spec::Manifest::parse(serde_yaml::Deserializer::from_str(&text)).unwrap().app().unwrap();
        std::fs::write(&app, perigee_spec::annotation::encode(&spec).unwrap()).unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        // Inherited by whatever is started until it is closed: no harm to the others.
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let mut command = perigee(&["worker", "--grace", "0", "--termination-log", "/nowhere", "--app"]);
        command.arg(&app).arg("--modules").arg(guests()).arg("--control-fd").arg(listener.as_raw_fd().to_string());
        let child = command.spawn().unwrap();
        Self { child, socket, _folder: folder }
    }

    /// Everything that is answered to one line.
    fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // One that did not read all that was said resets the connection behind its answer.
        let read = stream.read_to_end(&mut answer);
        assert!(read.is_ok() || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
        String::from_utf8(answer).unwrap()
    }

    #[track_caller]
    fn until_healthy(&self) {
        let started = Instant::now();
        while !self.run("\"healthy\"").ends_with("{\"exit\":0}\n") {
            assert!(started.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, args: &str) -> String {
        self.ask(&format!("{{\"version\":1,\"run\":{{\"args\":[{args}],\"terminal\":null}}}}\n"))
    }
}

#[test]
fn a_worker_answers_on_the_socket_that_it_inherits() {
    let worker = Worker::start(ACTORS);
    // What is asked before it is ready waits.
    assert!(worker.run("\"ps\"").ends_with("{\"exit\":0}\n"));
    worker.until_healthy();
    for (args, expected, code) in [
        ("\"sh\"", "there is no program sh here", 127),
        ("\"perigee\",\"ps\"", "RESTARTS", 0),
        ("\"--help\"", "kubectl exec POD -- ps", 0),
        ("\"inspect\"", "Usage: ", 2),
    ] {
        let answer = worker.run(args);
        assert!(answer.contains(expected) && answer.ends_with(&format!("{{\"exit\":{code}}}\n")), "{args}: {answer}");
    }
    let limit =
        |class: &str| worker.ask(&format!("{{\"version\":1,\"limit\":{{\"class\":\"{class}\",\"memory\":123456789}}}}\n"));
    assert!(limit("none").contains("no class") && limit("none").ends_with("{\"exit\":1}\n"));
    assert_eq!(limit("busy"), "{\"exit\":0}\n");
    let busy = worker.run("\"inspect\",\"1\",\"-o\",\"json\"");
    assert!(busy.contains("memoryLimitBytes\\\":123456789"), "{busy}");
    kill(worker.child.id(), "TERM");
    wait(worker.child).code(143);
}

#[test]
fn nonsense_on_the_socket_is_answered_in_words_and_harms_nobody() {
    let worker = Worker::start(ACTORS);
    for (line, expected) in [
        ("nonsense\n", "the request is not understood"),
        ("{\"version\":1,\"run\":{\"args\":[1],\"terminal\":null}}\n", "not understood"),
        ("{\"version\":2,\"run\":{\"args\":[],\"terminal\":null}}\n", "of version 2: this is version 1"),
        (&*format!("{}\n", "x".repeat(70_000)), "a line of more than"),
    ] {
        let answer = worker.ask(line);
        assert!(answer.contains(expected) && answer.ends_with("{\"exit\":2}\n"), "{answer}");
    }
    // Some who look without end, and more who say nothing: one more who would look is turned away, a probe never.
    let top = "{\"version\":1,\"run\":{\"args\":[\"top\"],\"terminal\":{\"columns\":80,\"rows\":24}}}\n";
    let looking: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = UnixStream::connect(&worker.socket).unwrap();
            stream.write_all(top.as_bytes()).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    let silent: Vec<_> = (0..20).map(|_| UnixStream::connect(&worker.socket).unwrap()).collect();
    assert!(worker.run("\"ps\"").contains("others are looking"));
    worker.until_healthy();
    drop((looking, silent));
    let started = Instant::now();
    while !worker.run("\"ps\"").ends_with("{\"exit\":0}\n") {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    worker.until_healthy();
    kill(worker.child.id(), "TERM");
    wait(worker.child).code(143);
}

#[test]
fn top_in_a_terminal_is_drawn_again_and_fits() {
    let worker = Worker::start(ACTORS);
    let mut stream = UnixStream::connect(&worker.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"{\"version\":1,\"run\":{\"args\":[\"top\"],\"terminal\":{\"columns\":40,\"rows\":8}}}\n").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut picture = || {
        let mut text = String::new();
        loop {
            let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            let piece = line["out"].as_str().unwrap().to_owned();
            if piece.starts_with('\u{1b}') && !text.is_empty() {
                return text;
            }
            text += piece.trim_start_matches("\u{1b}[H\u{1b}[J");
        }
    };
    for _ in 0..2 {
        let text = picture();
        assert!(text.split("\r\n").count() <= 8 && text.split("\r\n").all(|line| line.chars().count() <= 40), "{text:?}");
    }
    stream.write_all(b"{\"columns\":100,\"rows\":20}\n").unwrap();
    let started = Instant::now();
    while picture().split("\r\n").count() < 15 {
        assert!(started.elapsed() < Duration::from_secs(30));
    }
    drop(stream);
    kill(worker.child.id(), "TERM");
    wait(worker.child).code(143);
}

/// The kernel lets nobody through a folder that only its owner may enter; that it is one is what is shown here.
#[test]
fn the_folder_of_control_sockets_is_the_users_own() {
    let app = App::start(ACTORS);
    let folder = app.folder.path().join("perigee");
    let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777;
    assert_eq!(mode(&folder), 0o700);
    app.end().code(143);
}
