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

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// The highest resident memory in a `/proc/PID/status`, in bytes.
pub(super) fn peak_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// One figure of every run.
#[derive(Debug, serde::Serialize)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    values: Vec<f64>,
}

impl Series {
    pub(super) fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, values: Vec::new() }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Median (of an even number, the mean of both in the middle), lowest, highest.
    pub(super) fn summary(&self) -> (f64, f64, f64) {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        (f64::midpoint(at(last / 2), at(last.div_ceil(2))), at(0), at(last))
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
        let mut series = Series::new("x", "us");
        for value in [5.0, 1.0, 3.0] {
            series.add(value);
        }
        assert_eq!(series.summary(), (3.0, 1.0, 5.0));
        series.add(4.0);
        assert_eq!(series.summary(), (3.5, 1.0, 5.0));
    }
}
