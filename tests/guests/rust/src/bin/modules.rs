//! `modules FILE FUNCTION [TIMES]`: compiles a module (that many times), sends it to another process, which spawns the
//! function; prints `ended N` with how, or the error.

use lunatic::host::api::{message, process};
use lunatic::{Mailbox, Process, Tag, WasmModule};

#[lunatic::main]
fn main(mailbox: Mailbox<u32>) {
    let file = guests::text_arg(0, "the module");
    let function = guests::text_arg(1, "its function");
    let bytes = std::fs::read(file).expect("the module can be read");
    let mut modules = Vec::new();
    for number in 0..guests::arg(2, 1u32) {
        match WasmModule::new(&bytes) {
            Ok(module) => modules.push(module),
            Err(error) => {
                println!("error after {number}: {error}");
                return;
            }
        }
    }
    let runner = Process::spawn_link((mailbox.this(), function), run);
    runner.send(modules.pop().expect("one at least"));
    println!("ended {}", mailbox.receive());
}

fn run((main, function): (Process<u32>, String), mailbox: Mailbox<WasmModule>) {
    let module = mailbox.receive();
    unsafe { process::die_when_link_dies(0) };
    let child: Process<()> = module.spawn_link(&function, &[], Tag::new()).expect("it is spawned");
    unsafe { process::monitor(child.id()) };
    main.send(unsafe { message::receive(std::ptr::null(), 0, u64::MAX) });
}
