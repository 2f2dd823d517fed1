//! The figures, for people and for programs.

use std::io::{self, Write as _};

use super::figures::Series;
use super::machine::Machine;

pub(super) fn table(machine: &Machine, runs: u32, series: &[Series]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}, {}, Wasmtime {}", machine.date, machine.perigee, machine.wasmtime)?;
    let Machine { processor, cores, kernel, load, .. } = machine;
    writeln!(out, "{processor}, {cores} cores, Linux {kernel}, load before: {load}\n")?;
    writeln!(out, "| figure | median of {runs} | lowest to highest | unit |\n|---|---:|---:|---|")?;
    for figure in series {
        let (median, low, high) = figure.summary();
        let (name, unit) = (figure.name, figure.unit);
        writeln!(out, "| {name} | {} | {} to {} | {unit} |", number(median), number(low), number(high))?;
    }
    Ok(())
}

pub(super) fn json(machine: &Machine, runs: u32, series: &[Series]) -> anyhow::Result<()> {
    let figures: Vec<_> = series
        .iter()
        .map(|figure| {
            let (median, min, max) = figure.summary();
            serde_json::json!({ "name": figure.name, "unit": figure.unit, "median": median, "min": min, "max": max })
        })
        .collect();
    let report = serde_json::json!({ "machine": machine, "runs": runs, "figures": figures });
    writeln!(io::stdout().lock(), "{report:#}")?;
    Ok(())
}

/// Three significant digits or more, with thousands apart: `1.07`, `52.3`, `1,644,917`.
fn number(value: f64) -> String {
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
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, text) in
            [(1.066_6, "1.07"), (52.34, "52.3"), (999.94, "999.9"), (1_644_917.3, "1,644,917"), (9000.0, "9,000"), (0.5, "0.50")]
        {
            assert_eq!(number(value), text);
        }
    }
}
