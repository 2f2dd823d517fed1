//! `crash MS panic|trap|exit [CODE]`: ends badly after MS milliseconds, for restart policies and intensity. WASI only.

use std::time::Duration;

fn main() {
    let ms = guests::arg(0, 0);
    let how = guests::arg(1, "panic".to_owned());
    println!("crash: started");
    std::thread::sleep(Duration::from_millis(ms));
    match how.as_str() {
        "panic" => panic!("crash: as asked"),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(guests::arg(2, 1)),
        other => panic!("argument 1 is {other:?}: write panic, trap or exit"),
    }
}
