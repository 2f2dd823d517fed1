//! Prints its arguments and its environment, one a line. WASI only.

fn main() {
    println!("hello");
    for (index, arg) in std::env::args().enumerate() {
        println!("arg {index}: {arg}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value}");
    }
}
