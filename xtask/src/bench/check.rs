//! `make bench-check`: whether ratios are as good as those that are checked in. Figures themselves are not compared: they
//! depend on the machine and on its load, which meet both sides of a ratio.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::progress;
use super::report::{Figure, Report};

/// How much worse a ratio may be than the one that is checked in. Medians of 5 runs on a machine with other work differ by
/// up to a quarter.
const TOLERANCE: f64 = 0.30;

/// Fails with every ratio that is worse, and every figure that is gone. `only`: the benchmarks that ran.
pub(super) fn compare(known: &Report, new: &Report, only: &str) -> anyhow::Result<()> {
    let measured: BTreeMap<_, _> = new.figures.iter().map(|figure| (figure.name.as_str(), figure)).collect();
    let mut found = Vec::new();
    let mut compared = 0;
    for figure in &known.figures {
        let Some(old) = figure.ratio() else { continue };
        match measured.get(figure.name.as_str()) {
            // It was not asked for.
            None if !only.is_empty() => {}
            None => found.push(format!("{}: it is no longer measured: run `make bench` if that is meant", figure.name)),
            Some(new) => match difference(figure, old, new) {
                Difference::Worse(text) => found.push(text),
                Difference::Unknown(text) => progress(&text),
                Difference::None => compared += 1,
            },
        }
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    ensure!(compared > 0, "nothing could be compared: neither side has ratios to the same peers");
    progress(&format!("{compared} ratios are within {:.0} % of those that are checked in, or better", TOLERANCE * 100.0));
    Ok(())
}

enum Difference {
    None,
    Worse(String),
    /// The peer is not on this machine.
    Unknown(String),
}

fn difference(known: &Figure, old: f64, new: &Figure) -> Difference {
    let name = &known.name;
    if let Some(failure) = &new.failure {
        return Difference::Worse(format!("{name}: it could not be measured: {failure}"));
    }
    let what = known.peer.as_ref().map_or_else(|| "the ratio".to_owned(), |peer| format!("times as good as {}", peer.name));
    match new.ratio() {
        None => Difference::Unknown(format!("{name}: not compared: {what} was {old:.2}, and that peer is not here")),
        Some(ratio) if ratio < old * (1.0 - TOLERANCE) => Difference::Worse(format!(
            "{name}: {what} was {old:.2}, is {ratio:.2}: {:.0} % worse, tolerated are {:.0} %",
            (1.0 - ratio / old) * 100.0,
            TOLERANCE * 100.0
        )),
        Some(_) => Difference::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    fn one(value: Option<f64>, peer: Option<f64>) -> Report {
        report(&[("rate", "1/s", value, peer, None), ("scaling", "x", Some(1.8), None, None)])
    }

    fn complaint(known: &Report, new: &Report) -> String {
        compare(known, new, "").err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn at_the_tolerance_a_ratio_passes_and_beyond_it_does_not() {
        let known = one(Some(100.0), Some(100.0));
        assert_eq!(complaint(&known, &one(Some(70.5), Some(100.0))), "");
        assert_eq!(complaint(&known, &one(Some(300.0), Some(100.0))), "", "better is never too much");
        assert_eq!(complaint(&known, &one(Some(7.0), Some(8.0))), "", "a slow machine is slow for both");
        assert_eq!(
            complaint(&known, &one(Some(69.0), Some(100.0))),
            "rate: times as good as Peer 1 was 1.00, is 0.69: 31 % worse, tolerated are 30 %"
        );
    }

    #[test]
    fn ratios_of_our_own_figures_are_compared_too() {
        let known = report(&[("scaling", "x", Some(1.8), None, None)]);
        let new = |ratio| report(&[("scaling", "x", Some(ratio), None, None)]);
        assert_eq!(complaint(&known, &new(1.7)), "");
        assert!(complaint(&known, &new(1.0)).contains("scaling: the ratio was 1.80, is 1.00"));
    }

    #[test]
    fn a_figure_that_is_gone_or_failed_is_named() {
        let known = one(Some(100.0), Some(100.0));
        assert!(
            complaint(&known, &report(&[("scaling", "x", Some(1.8), None, None)])).contains("rate: it is no longer measured")
        );
        assert!(complaint(&known, &one(None, None)).contains("rate: it could not be measured: there was no room"));
        assert!(compare(&known, &report(&[("scaling", "x", Some(1.8), None, None)]), "scal").is_ok(), "it was not asked for");
    }

    #[test]
    fn without_the_peer_it_is_not_compared_and_without_any_that_is_no_success() {
        let known = one(Some(100.0), Some(100.0));
        assert_eq!(complaint(&known, &one(Some(1.0), None)), "");
        let only = |peer| report(&[("rate", "1/s", Some(1.0), peer, None)]);
        assert!(complaint(&only(Some(1.0)), &only(None)).contains("nothing could be compared"));
    }
}
