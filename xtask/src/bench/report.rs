//! The figures, for people and for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::figures::Summary;
use super::machine::Machine;
use super::target::{Better, Target};

/// What results.json holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) runs: u32,
    pub(super) figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) target: Option<Target>,
    /// None: it could not be measured, and `failure` says why.
    pub(super) measured: Option<Summary>,
    pub(super) peer: Option<PeerFigure>,
    pub(super) failure: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PeerFigure {
    pub(super) name: String,
    pub(super) measured: Summary,
}

impl Figure {
    /// How many times as good as the peer; of a figure that is a ratio itself, that one.
    pub(super) fn ratio(&self) -> Option<f64> {
        let median = self.measured?.median;
        match &self.peer {
            Some(peer) => Some(self.better.ratio(median, peer.measured.median)),
            None => (self.unit == "x").then_some(median),
        }
    }

    /// How many times as good as the target.
    pub(super) fn reached(&self) -> Option<f64> {
        let peer = self.peer.as_ref().map(|peer| peer.measured.median);
        self.target?.reached(self.better, self.measured?.median, peer)
    }

    pub(super) fn target_text(&self) -> String {
        let sign = if self.better == Better::Higher { "≥" } else { "≤" };
        match self.target {
            None => String::new(),
            Some(Target::Value(value)) => format!("{sign} {}", number(value)),
            Some(Target::Peer(ratio)) => match &self.peer {
                Some(peer) => format!("≥ {ratio:.2}x {}", peer.name),
                None => format!("≥ {ratio:.2}x the peer"),
            },
        }
    }
}

impl Report {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}: run `make bench` to write it", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not what `xtask bench` writes", path.display()))
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Where and with what it was measured, in two lines.
    pub(super) fn heading(&self) -> [String; 2] {
        let Machine { date, perigee, wasmtime, peers, processor, cores, kernel, load } = &self.machine;
        [
            format!("{date}, {perigee} with Wasmtime {wasmtime}; {}", peers.join(", ")),
            format!("{processor}, {cores} cores, Linux {kernel}; load before: {load}; medians of {}", self.runs),
        ]
    }

    pub(super) fn table(&self) -> String {
        let mut text = self.heading().join("\n");
        text.push_str("\n\n| figure | median | lowest to highest | unit | target | reached | peer | times as good |\n");
        text.push_str("|---|---:|---:|---|---|---|---|---:|\n");
        for figure in &self.figures {
            row(&mut text, figure).expect("a string takes all");
        }
        text
    }
}

fn row(text: &mut String, figure: &Figure) -> std::fmt::Result {
    let (name, unit, target) = (&figure.name, &figure.unit, figure.target_text());
    let Some(Summary { median, lowest, highest }) = figure.measured else {
        let why = figure.failure.as_deref().unwrap_or("not measured");
        return writeln!(text, "| {name} | - | {} | {unit} | {target} | - | | |", why.replace('|', "/"));
    };
    let reached = match figure.reached() {
        Some(times) if times >= 1.0 => "yes".to_owned(),
        Some(times) => format!("no: {:.0} %", times * 100.0),
        None if figure.target.is_some() => "-".to_owned(),
        None => String::new(),
    };
    let peer = match (&figure.peer, figure.target) {
        (Some(peer), _) => format!("{}: {}", peer.name, number(peer.measured.median)),
        (None, Some(Target::Peer(_))) => "not measured".to_owned(),
        (None, _) => String::new(),
    };
    let ratio = figure.peer.as_ref().and_then(|_| figure.ratio()).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    writeln!(
        text,
        "| {name} | {} | {} to {} | {unit} | {target} | {reached} | {peer} | {ratio} |",
        number(median),
        number(lowest),
        number(highest)
    )
}

/// Three significant digits or more, with thousands apart: `1.07`, `52.3`, `1,644,917`.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 10.0 => 2,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Name, unit, median, median of the peer, target.
    type Row<'a> = (&'a str, &'a str, Option<f64>, Option<f64>, Option<Target>);

    /// A report of figures of which more is better.
    pub(in crate::bench) fn report(figures: &[Row<'_>]) -> Report {
        let summary = |median: f64| Summary { median, lowest: median, highest: median };
        let text = |text: &str| text.to_owned();
        let figure = |(name, unit, value, peer, target): &Row<'_>| Figure {
            name: text(name),
            unit: text(unit),
            better: Better::Higher,
            target: *target,
            measured: value.map(summary),
            peer: peer.map(|peer| PeerFigure { name: text("Peer 1"), measured: summary(peer) }),
            failure: value.is_none().then(|| text("there was no room")),
        };
        let machine = Machine {
            date: text("2026-01-02"),
            perigee: text("perigee 1.0.0"),
            wasmtime: text("48.0.0"),
            peers: vec![text("Peer 1"), text("no wasmtime")],
            processor: text("A <fast> & cheap one"),
            cores: 2,
            kernel: text("6.1"),
            load: text("0 0 0"),
        };
        Report { machine, runs: 5, figures: figures.iter().map(figure).collect() }
    }

    #[test]
    fn a_row_says_what_was_reached_and_what_the_peer_did() {
        let table = report(&[
            ("rate", "1/s", Some(50.0), Some(100.0), Some(Target::Peer(1.0))),
            ("size", "KiB", Some(2_000.0), None, Some(Target::Value(1_000.0))),
            ("alone", "1/s", Some(5.0), None, Some(Target::Peer(1.0))),
            ("crowd", "1/s", None, None, Some(Target::Value(1.0))),
        ])
        .table();
        let rows: Vec<_> = table.lines().skip(5).collect();
        assert_eq!(rows[0], "| rate | 50.0 | 50.0 to 50.0 | 1/s | ≥ 1.00x Peer 1 | no: 50 % | Peer 1: 100.0 | 0.50 |");
        assert_eq!(rows[1], "| size | 2,000 | 2,000 to 2,000 | KiB | ≥ 1,000 | yes |  |  |");
        assert_eq!(rows[2], "| alone | 5.00 | 5.00 to 5.00 | 1/s | ≥ 1.00x the peer | - | not measured |  |");
        assert!(rows[3].starts_with("| crowd | - | there was no room |"), "{}", rows[3]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let written = report(&[("rate", "1/s", Some(50.0), Some(100.0), Some(Target::Peer(1.0)))]);
        fs::write(&path, written.json().unwrap()).unwrap();
        assert_eq!(Report::read(&path).unwrap().json().unwrap(), written.json().unwrap());
    }

    #[test]
    fn a_file_that_is_missing_or_something_else_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let error = |path: &Path| format!("{:#}", Report::read(path).unwrap_err());
        assert!(error(&path).contains("make bench"), "{}", error(&path));
        for text in ["", "{", "[]", r#"{"machine": {}, "runs": 5, "figures": []}"#] {
            fs::write(&path, text).unwrap();
            assert!(error(&path).contains("is not what `xtask bench` writes"), "{}", error(&path));
        }
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, text) in
            [(1.066_6, "1.07"), (52.34, "52.3"), (999.94, "999.9"), (1_644_917.3, "1,644,917"), (9000.0, "9,000"), (0.5, "0.50")]
        {
            assert_eq!(number(value), text);
        }
    }
}
