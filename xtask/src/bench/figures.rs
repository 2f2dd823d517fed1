//! What the guests print, and what becomes of several runs.

use std::collections::BTreeMap;

/// The numbers of one run, by name: `NAME=NUMBER` anywhere in a line, or a line `NAME NUMBER`.
#[derive(Default)]
pub(super) struct Printed(BTreeMap<String, f64>);

impl Printed {
    pub(super) fn read(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once(' ')
            && let Ok(value) = value.trim().parse()
        {
            self.set(name, value);
        }
        for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
            if let Ok(value) = value.parse() {
                self.set(name, value);
            }
        }
    }

    pub(super) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Keeps the highest that was ever told.
    pub(super) fn raise(&mut self, name: &str, value: f64) {
        self.set(name, self.get(name).map_or(value, |known| known.max(value)));
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// The highest resident memory in a `/proc/PID/status`, in bytes.
pub(super) fn peak_of(status: &str) -> Option<f64> {
    field(status, "VmHWM:")
}

/// A field of a file of `/proc` that the kernel gives in KiB, in bytes.
pub(super) fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// One figure of every run, of one at least.
pub(super) struct Series(pub(super) Vec<f64>);

/// What is told of several runs.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
}

impl Series {
    /// The median of an even number is the mean of both in the middle.
    pub(super) fn summary(&self) -> Summary {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Summary { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), lowest: at(0), highest: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_name() {
        let mut printed = Printed::default();
        for line in [
            "sleep_1ms spinners=8 samples=200 p50_us=1903 p99_us=2504 max_us=2600",
            "spawn_reply count=3000 seconds=0.073596 per_second=40763",
            "alive 9000",
            "hello, world",
            "",
        ] {
            printed.read(line);
        }
        assert_eq!(printed.get("p99_us"), Some(2504.0));
        assert_eq!(printed.get("seconds"), Some(0.073_596));
        assert_eq!(printed.get("alive"), Some(9000.0));
        assert_eq!(printed.get("hello,"), None);
    }

    #[test]
    fn the_highest_memory_is_read_in_bytes() {
        assert_eq!(peak_of("Name:\tperigee\nVmPeak:\t  99 kB\nVmHWM:\t   2048 kB\n"), Some(2_097_152.0));
        assert_eq!(peak_of("Name:\tperigee\n"), None, "a process that has ended has none");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let summary = |values: &[f64]| Series(values.to_vec()).summary();
        assert_eq!(summary(&[5.0, 1.0, 3.0]), Summary { median: 3.0, lowest: 1.0, highest: 5.0 });
        assert_eq!(summary(&[5.0, 1.0, 3.0, 4.0]).median, 3.5);
    }
}
