//! Prints `ready` and waits for the app's stop, then prints `stopping` and ends normally after MS milliseconds.

#[lunatic::main]
fn main(mailbox: lunatic::Mailbox<()>) {
    // Asked for before it says that it is ready: one that has not asked is killed at the stop.
    perigee::on_shutdown(&mailbox, ());
    println!("ready");
    perigee::wait_for_shutdown();
    println!("stopping");
    std::thread::sleep(std::time::Duration::from_millis(guests::arg(0, 0)));
    println!("stopped");
}
