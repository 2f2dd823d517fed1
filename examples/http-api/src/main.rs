//! An HTTP API in the framework submillisecond, as it was written for Lunatic: each request is an actor of its own.

use serde::{Deserialize, Serialize};
use submillisecond::params::Params;
use submillisecond::{router, Application, Json};

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<i64>,
}

#[derive(Serialize)]
struct Sum {
    sum: i64,
    count: usize,
}

fn index() -> &'static str {
    "hello\n"
}

fn greet(params: Params) -> String {
    format!("hello, {}\n", params.get("name").unwrap_or("nobody"))
}

/// A sum that is too large for 64 bits ends the actor of this request, and no other.
fn sum(Json(Numbers { numbers }): Json<Numbers>) -> Json<Sum> {
    let sum = numbers.iter().try_fold(0i64, |sum, number| sum.checked_add(*number)).expect("a sum of 64 bits");
    Json(Sum { sum, count: numbers.len() })
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    Application::new(router! {
        GET "/" => index
        GET "/hello/:name" => greet
        POST "/sum" => sum
    })
    .serve(address)
}
