//! What only the start of a container needed goes back to the kernel: a shim idles most of its life.

use std::time::Duration;

use crate::launcher::sys;

/// From then on a container is no longer starting.
const STARTED: Duration = Duration::from_secs(1);

/// Gives it back once the start is over.
pub(crate) async fn give_back_when_started() {
    tokio::time::sleep(STARTED).await;
    sys::give_back();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of this program's code in memory.
    fn code() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = std::env::current_exe().unwrap().display().to_string();
        let mut lines = smaps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(&own)));
        let line = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn code_that_ran_is_given_back_and_runs_again() {
        // Reading JSON and TOML runs much of it.
        let parse = || {
            (
                serde_json::from_str::<serde_json::Value>("{\"a\": [1.5, null]}").unwrap(),
                toml::from_str::<toml::Table>("a = 1").unwrap(),
            )
        };
        let parsed = parse();
        let before = code();
        sys::give_back();
        let after = code();
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!(parse(), parsed);
    }
}
