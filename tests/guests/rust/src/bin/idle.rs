//! Prints `ready` and waits for the app's stop, then prints `stopping` and ends normally after MS milliseconds.

fn main() {
    println!("ready");
    perigee::wait_for_shutdown();
    println!("stopping");
    std::thread::sleep(std::time::Duration::from_millis(guests::arg(0, 0)));
    println!("stopped");
}
