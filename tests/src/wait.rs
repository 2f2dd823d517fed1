//! Waiting for something to become true, with a limit: the one place of the tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for a pod to start on a machine that compiles meanwhile; a test that waits this long has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two questions: short at first, for what is true soon; then longer, so that asking does not slow down what is
/// waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Asks until the answer is `Ok`, which it returns. An `Err` says what was seen instead; after `limit` the last one
/// becomes part of the failure.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match ask() {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() >= limit => bail!("{what}: not within {limit:?}; last seen: {seen:#}"),
            Err(_) => thread::sleep(pause),
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn failure_tells_what_was_waited_for_and_what_was_seen_last() {
        let failure = until("the door opens", Duration::ZERO, || Err::<(), _>(anyhow!("it is shut"))).unwrap_err();
        assert_eq!(failure.to_string(), "the door opens: not within 0ns; last seen: it is shut");
    }

    #[test]
    fn returns_the_first_good_answer() {
        let mut answers = [Err(anyhow!("not yet")), Ok(7), Ok(8)].into_iter();
        assert_eq!(until("seven", LIMIT, || answers.next().expect("asked once too often")).unwrap(), 7);
    }
}
