//! Stands in for the worker: says what it was started with, and answers on its control socket by what it is asked. As
//! `compile` it makes "code" that holds its module, and counts in the file `compiled` beside it how often it did.
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::FromRawFd,
        unix::net::{UnixListener, UnixStream},
    },
};

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "compile") {
        return compile(&args);
    }
    println!("args {}", args.join(" "));
    println!("app {}", fs::read_to_string("/.perigee/app.json").unwrap());
    for code in fs::read_dir("/.perigee/code").into_iter().flatten() {
        let path = code.unwrap().path();
        let text = fs::read(&path).unwrap();
        let writable = fs::OpenOptions::new().append(true).open(&path).is_ok();
        println!("code {} {:?} writable {writable}", path.display(), String::from_utf8_lossy(&text[..9]));
    }
    println!("written {}", fs::write("/.perigee/app.json", "").is_ok());
    if args.first().is_some_and(|arg| arg == "worker") && env::var_os("STAY").is_some() {
        // SAFETY: the shim has opened it, and nothing here did.
        let listener = unsafe { UnixListener::from_raw_fd(3) };
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    }
}

/// Whoever asked may be gone at any time.
fn answer(mut stream: UnixStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let asked = lines.next()?.unwrap();
    let says = |word: &str| asked.contains(&format!("\"{word}\""));
    let mut say = |line: &str| stream.write_all(format!("{line}\n").as_bytes()).ok();
    if says("limit") {
        println!("took {asked}");
        say("{\"exit\":0}")
    } else if says("fail") {
        say("{\"err\":\"it failed\\n\"}")?;
        say("{\"exit\":7}")
    } else if says("talk") {
        // Each further line is said back, without end.
        say(&format!("{{\"out\":\"asked {}\\n\"}}", quoted(&asked)))?;
        while let Some(Ok(line)) = lines.next() {
            say(&format!("{{\"out\":\"told {}\\n\"}}", quoted(&line)))?;
        }
        Some(())
    } else if says("hang") {
        std::thread::sleep(std::time::Duration::from_secs(600));
        Some(())
    } else if says("die") {
        std::process::exit(3)
    } else if says("nonsense") {
        say("nonsense")
    } else if says("endless") {
        loop {
            stream.write_all(&[b'x'; 4096]).ok()?;
        }
    } else {
        say(&format!("{{\"out\":\"asked {}\\n\"}}", quoted(&asked)))?;
        say("{\"exit\":0}")
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn compile(args: &[String]) {
    if args.iter().any(|arg| arg == "--fingerprint") {
        return println!("{:064x}", 7);
    }
    for file in args.iter().zip(args.iter().skip(1)).filter(|(option, _)| *option == "--cgroup").map(|(_, file)| file) {
        fs::write(file, "0").unwrap();
    }
    let mut module = Vec::new();
    std::io::stdin().read_to_end(&mut module).unwrap();
    let beside = env::current_exe().unwrap().with_file_name("compiled");
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap();
    fs::OpenOptions::new().create(true).append(true).open(&beside).unwrap().write_all(cgroups.as_bytes()).unwrap();
    fs::OpenOptions::new().create(true).append(true).open(&beside).unwrap().write_all(b"compiled\n").unwrap();
    if module.ends_with(b"bad") {
        eprintln!("perigee: x.wasm: the module is not valid: it is bad");
        std::process::exit(126);
    }
    if module.ends_with(b"die") {
        std::process::abort();
    }
    std::io::stdout().write_all(b"code ").unwrap();
    std::io::stdout().write_all(&module).unwrap();
}
