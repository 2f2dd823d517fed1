//! The figures as a picture: a bar for each that has a target, as long as it is times as good as that.

use std::fmt::Write as _;

use super::report::{Figure, Report, number};

const WIDTH: f64 = 1_080.0;
/// Height of a bar with what is around it.
const ROW: f64 = 24.0;
const TOP: f64 = 84.0;
/// Where the bars are: between the names and the values.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 720.0;
/// Times as good as the target, at the left and the right end; the scale between is logarithmic.
const ENDS: (f64, f64) = (0.1, 10.0);
const MARKS: [(f64, &str); 5] = [(0.1, "a tenth"), (0.5, "half"), (1.0, "target"), (2.0, "twice"), (10.0, "ten times")];
const REACHED: &str = "#2a7f62";
const MISSED: &str = "#c7702e";

pub(super) fn render(report: &Report) -> String {
    let rows: Vec<_> = report.figures.iter().filter(|figure| figure.target.is_some()).collect();
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = String::new();
    draw(&mut svg, report, &rows, bottom).expect("a string takes all");
    svg
}

fn draw(svg: &mut String, report: &Report, rows: &[&Figure], bottom: f64) -> std::fmt::Result {
    let height = bottom + 30.0;
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(svg, r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##)?;
    text(svg, 12.0, 24.0, "start", "#111111", "Perigee: each figure against its target (logarithmic; longer is better)")?;
    for (line, y) in report.heading().iter().zip([42.0, 58.0]) {
        text(svg, 12.0, y, "start", "#555555", line)?;
    }
    for (times, label) in MARKS {
        let (x, colour) = (position(times), if label == "target" { "#111111" } else { "#dddddd" });
        writeln!(svg, r#"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="{colour}"/>"#)?;
        text(svg, x, bottom + 16.0, "middle", "#555555", label)?;
    }
    for (index, figure) in rows.iter().enumerate() {
        bar(svg, figure, TOP + ROW * index as f64)?;
    }
    writeln!(svg, "</svg>")
}

fn bar(svg: &mut String, figure: &Figure, top: f64) -> std::fmt::Result {
    let baseline = top + ROW * 0.66;
    text(svg, LEFT - 8.0, baseline, "end", "#111111", &figure.name)?;
    let value = match figure.measured {
        Some(measured) => format!("{} {}", number(measured.median), figure.unit),
        None => "not measured".to_owned(),
    };
    let mut told = format!("{value} (target {})", figure.target_text());
    if let Some(times) = figure.reached() {
        let (from, to) = (LEFT, position(times));
        let colour = if times >= 1.0 { REACHED } else { MISSED };
        let (y, height) = (top + ROW * 0.2, ROW * 0.6);
        writeln!(
            svg,
            r#"<rect x="{from}" y="{y:.1}" width="{:.1}" height="{height:.1}" fill="{colour}"/>"#,
            (to - from).max(2.0)
        )?;
        write!(told, ": {times:.2}x")?;
    }
    text(svg, RIGHT + 10.0, baseline, "start", "#333333", &told)
}

/// Where on the scale: at its ends for what is beyond them.
fn position(times: f64) -> f64 {
    let (low, high) = ENDS;
    let share = (times.clamp(low, high) / low).ln() / (high / low).ln();
    LEFT + share * (RIGHT - LEFT)
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) -> std::fmt::Result {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::super::target::Target;
    use super::*;

    #[test]
    fn the_target_is_in_the_middle_and_nothing_is_beyond_the_ends() {
        assert!((position(1.0) - f64::midpoint(LEFT, RIGHT)).abs() < 1e-9);
        assert!((position(1e9) - RIGHT).abs() < 1e-9 && (position(0.0) - LEFT).abs() < 1e-9);
        assert!(position(2.0) > position(1.9));
    }

    #[test]
    fn every_figure_with_a_target_has_its_row_and_names_are_escaped() {
        let svg = render(&report(&[
            ("fast & good", "1/s", Some(2.0), None, Some(Target::Value(1.0))),
            ("slow", "1/s", Some(1.0), None, Some(Target::Value(2.0))),
            ("failed", "1/s", None, None, Some(Target::Value(2.0))),
            ("without a target", "1/s", Some(1.0), None, None),
        ]));
        assert!(svg.contains("fast &amp; good") && svg.contains("A &lt;fast&gt; &amp; cheap one"), "{svg}");
        assert_eq!((svg.matches(REACHED).count(), svg.matches(MISSED).count()), (1, 1));
        assert!(svg.contains("not measured") && !svg.contains("without a target"));
    }
}
