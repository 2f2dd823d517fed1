//! `attenuate WHAT`: a process that may make configurations, and little else, tries to spawn one that has more than it has
//! itself. Prints `gave` and `used` as far as it gets, then how it ended.

use lunatic::host::api::{message, process, wasi};
use lunatic::{Mailbox, Process, ProcessConfig};

#[lunatic::main]
fn main(_: Mailbox<()>) {
    let what = guests::text_arg(0, "folder|inner|spawn|compile|memory|fuel");
    unsafe { process::die_when_link_dies(0) };
    let mut config = ProcessConfig::new().expect("it may make configurations");
    config.set_can_create_configs(true);
    config.set_can_spawn_processes(what != "spawn");
    match what.as_str() {
        "memory" => config.set_max_memory(4 << 20),
        "fuel" => config.set_max_fuel(200),
        "inner" => preopen(&config, "data"),
        _ => {}
    }
    let child = Process::<()>::spawn_link_config(&config, what, |what, _: Mailbox<()>| give(&what));
    unsafe { process::monitor(child.id()) };
    let ended = unsafe { message::receive(std::ptr::null(), 0, 60_000) };
    println!("ended {}", if ended == 1 { "badly" } else { "well" });
}

fn give(what: &str) {
    let mut config = ProcessConfig::new().expect("it may make configurations");
    match what {
        "folder" => preopen(&config, "/"),
        "inner" => preopen(&config, "data/inner"),
        "spawn" => config.set_can_spawn_processes(true),
        "compile" => config.set_can_compile_modules(true),
        "memory" => config.set_max_memory(u64::MAX),
        "fuel" => config.set_max_fuel(0),
        other => panic!("argument 0 is {other:?}"),
    }
    println!("gave {what}");
    let child = Process::<()>::spawn_link_config(&config, what.to_owned(), |what, _: Mailbox<()>| have(&what));
    unsafe { process::monitor(child.id()) };
    assert_eq!(unsafe { message::receive(std::ptr::null(), 0, 60_000) }, 2);
}

fn have(what: &str) {
    match what {
        "folder" => drop(std::fs::read("/etc/passwd").unwrap()),
        "inner" => assert_eq!(std::fs::read_to_string("data/inner/note").unwrap(), "hi"),
        "memory" => drop(std::hint::black_box(vec![1u8; 16 << 20])),
        "fuel" => loop {
            std::hint::black_box(());
        },
        other => panic!("nothing to use of {other:?}"),
    }
    println!("used {what}");
}

fn preopen(config: &ProcessConfig, path: &str) {
    unsafe { wasi::config_preopen_dir(config.id() as u64, path.as_ptr(), path.len()) };
}
