//! docs/dashboard.svg: the panels of the dashboard at their places, drawn from what their queries find.

use std::path::PathBuf;

use jiff::Timestamp;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;
use testkit::{Prometheus, tools};

use crate::{dashboard, without_variables};

/// The size of one cell of Grafana's grid, which has 24 columns.
const CELL: (u32, u32) = (50, 26);
/// How many values a line has.
const STEPS: u32 = 120;
const BACKGROUND: RGBColor = RGBColor(0x11, 0x12, 0x17);
const PANEL: RGBColor = RGBColor(0x18, 0x1b, 0x1f);
const GRID: RGBColor = RGBColor(0x2c, 0x30, 0x35);
const TEXT: RGBColor = RGBColor(0xcc, 0xcc, 0xdc);
const GREEN: RGBColor = RGBColor(0x73, 0xbf, 0x69);
const YELLOW: RGBColor = RGBColor(0xfa, 0xde, 0x2a);
const RED: RGBColor = RGBColor(0xf2, 0x49, 0x5c);
/// The colors of lines, in their order.
const LINES: [RGBColor; 9] = [
    GREEN,
    RGBColor(0x57, 0x94, 0xf2),
    YELLOW,
    RGBColor(0xff, 0x98, 0x30),
    RED,
    RGBColor(0xb8, 0x77, 0xd9),
    RGBColor(0x8a, 0xb8, 0xff),
    RGBColor(0xff, 0xa6, 0xb0),
    RGBColor(0x37, 0x87, 0x2d),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a panel: its name in the legend, and its value at each step, where there was one.
struct Line {
    name: String,
    values: Vec<Option<f64>>,
}

impl Line {
    /// The last value that there was.
    fn last(&self) -> Option<f64> {
        self.values.iter().copied().flatten().next_back()
    }
}

/// The lines that a panel shows of the time since the run began, which took this many seconds.
async fn find_lines(prometheus: &Prometheus, panel: &Value, begun: Timestamp, seconds: f64) -> Vec<Line> {
    let (from, step) = (begun.as_second() as f64, seconds / f64::from(STEPS));
    let mut lines = Vec::new();
    for target in panel["targets"].as_array().into_iter().flatten() {
        let query = without_variables(target["expr"].as_str().unwrap());
        for series in prometheus.query_range(&query, from, from + seconds, step).await.unwrap() {
            let mut values = vec![None; STEPS as usize + 1];
            for value in series["values"].as_array().unwrap() {
                let place = ((value[0].as_f64().unwrap() - from) / step).round() as usize;
                values[place] = value[1].as_str().unwrap().parse().ok().filter(|value: &f64| value.is_finite());
            }
            let mut name = target["legendFormat"].as_str().unwrap().to_owned();
            for (label, value) in series["metric"].as_object().unwrap() {
                name = name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap());
            }
            lines.push(Line { name, values });
        }
    }
    lines
}

/// A value with its unit, which has the name that Grafana gives it.
fn told(value: f64, unit: &str) -> String {
    let number = |value: f64| {
        let text = if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match unit {
        "s" if value < 1.0 => format!("{} ms", number(value * 1e3)),
        "s" if value < 120.0 => format!("{} s", number(value)),
        "s" if value < 7200.0 => format!("{} min", number(value / 60.0)),
        "s" => format!("{} h", number(value / 3600.0)),
        "bytes" => format!("{} MiB", number(value / f64::from(1 << 20))),
        "reqps" => format!("{} req/s", number(value)),
        "ops" => format!("{} ops/s", number(value)),
        "short" => number(value),
        other => panic!("the picture knows no unit {other}"),
    }
}

fn write(area: &Area<'_>, words: &str, size: u32, color: RGBColor, place: (i32, i32)) {
    area.draw(&Text::new(words.to_owned(), place, ("sans-serif", size).into_font().color(&color))).unwrap();
}

/// The last value, in the color of the threshold that it has reached.
fn draw_stat(area: &Area<'_>, panel: &Value, lines: &[Line]) {
    let defaults = &panel["fieldConfig"]["defaults"];
    let value = lines.first().and_then(Line::last);
    let is_reached =
        |step: &&Value| step["value"].as_f64().is_none_or(|least| value.is_some_and(|value| value >= least));
    let reached = defaults["thresholds"]["steps"].as_array().unwrap().iter().rfind(is_reached);
    let color = match reached.unwrap()["color"].as_str().unwrap() {
        "green" => GREEN,
        "yellow" => YELLOW,
        "red" => RED,
        other => panic!("the picture knows no color {other}"),
    };
    let words = value.map_or("no data".to_owned(), |value| told(value, defaults["unit"].as_str().unwrap()));
    write(area, &words, 36, color, (12, 40));
}

/// Lines over the time of the run, one above the other where they are stacked, and the legend beside them.
fn draw_lines(area: &Area<'_>, panel: &Value, lines: &[Line], seconds: f64) {
    let defaults = &panel["fieldConfig"]["defaults"];
    let (unit, is_stacked) = (defaults["unit"].as_str().unwrap(), defaults["custom"]["stacking"]["mode"] == "normal");
    // What has been 0 all the time says nothing in a picture.
    let is_told = |line: &&Line| line.values.iter().flatten().any(|value| *value != 0.0);
    let lines: Vec<&Line> = lines.iter().filter(is_told).collect();
    let mut lower = vec![0.0; STEPS as usize + 1];
    let mut bands = Vec::new();
    for line in &lines {
        let upper: Vec<f64> =
            line.values.iter().zip(&lower).map(|(value, lower)| value.unwrap_or(0.0) + lower).collect();
        bands.push((lower.clone(), upper.clone()));
        if is_stacked {
            lower = upper;
        }
    }
    let most = bands.iter().flat_map(|(_, upper)| upper).fold(0.0, |most: f64, value| most.max(*value));
    let most = if most > 0.0 { most * 1.1 } else { 1.0 };

    let (width, _) = area.dim_in_pixel();
    let (left, legend) = area.split_horizontally(width - (width * 3 / 10).max(150));
    let mut builder = ChartBuilder::on(&left);
    builder.margin_top(30).margin_right(8).x_label_area_size(22).y_label_area_size(64);
    let mut chart = builder.build_cartesian_2d(0.0..seconds, 0.0..most).unwrap();
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(GRID).y_labels(5);
    mesh.x_labels(width as usize / 100).label_style(("sans-serif", 11).into_font().color(&TEXT));
    mesh.x_label_formatter(&|at| format!("{}:{:02}", *at as u64 / 60, *at as u64 % 60));
    mesh.y_label_formatter(&|value| told(*value, unit)).draw().unwrap();

    let at = |step: usize| step as f64 * seconds / f64::from(STEPS);
    for (number, (line, (lower, upper))) in lines.iter().zip(&bands).enumerate() {
        let color = LINES[number % LINES.len()];
        let point = |(step, value): (usize, &f64)| (at(step), *value);
        if is_stacked {
            let back = lower.iter().enumerate().rev().map(point);
            let band: Vec<(f64, f64)> = upper.iter().enumerate().map(point).chain(back).collect();
            chart.draw_series([Polygon::new(band, color.mix(0.3))]).unwrap();
        }
        // Where there is no value the line is broken.
        let steps: Vec<usize> = (0..upper.len()).filter(|step| line.values[*step].is_some()).collect();
        for piece in steps.chunk_by(|one, next| one + 1 == *next) {
            let piece: Vec<(f64, f64)> = piece.iter().map(|step| (at(*step), upper[*step])).collect();
            chart.draw_series([PathElement::new(piece, color)]).unwrap();
        }
        let top = 34 + 14 * i32::try_from(number).unwrap();
        legend.draw(&Rectangle::new([(4, top + 3), (12, top + 8)], color.filled())).unwrap();
        let last = told(line.last().unwrap(), unit);
        write(&legend, &format!("{}: {last}", line.name), 11, TEXT, (18, top));
    }
}

/// All panels as one picture; each has its lines in `found`.
fn draw(panels: &[Value], found: &[Vec<Line>], seconds: f64) -> String {
    let cell = |panel: &Value, key: &str| u32::try_from(panel["gridPos"][key].as_u64().unwrap()).unwrap();
    let rows = panels.iter().map(|panel| cell(panel, "y") + cell(panel, "h")).max().unwrap();
    let mut drawn = String::new();
    let root = SVGBackend::with_string(&mut drawn, (24 * CELL.0, rows * CELL.1)).into_drawing_area();
    root.fill(&BACKGROUND).unwrap();
    for (panel, lines) in panels.iter().zip(found) {
        let place = (cell(panel, "x") * CELL.0 + 3, cell(panel, "y") * CELL.1 + 3);
        let size = (cell(panel, "w") * CELL.0 - 6, cell(panel, "h") * CELL.1 - 6);
        let area = root.clone().shrink(place, size);
        let kind = panel["type"].as_str().unwrap();
        if kind != "row" {
            area.fill(&PANEL).unwrap();
        }
        write(&area, panel["title"].as_str().unwrap(), 14, TEXT, (10, 5));
        match kind {
            "row" => {}
            "stat" => draw_stat(&area, panel, lines),
            "timeseries" => draw_lines(&area, panel, lines, seconds),
            other => panic!("the picture knows no panel {other}"),
        }
    }
    root.present().unwrap();
    drop(root);
    drawn
}

fn file() -> PathBuf {
    tools::root().join("docs/dashboard.svg")
}

/// Writes the picture of a run that began then.
pub async fn write_dashboard(prometheus: &Prometheus, begun: Timestamp) {
    let seconds = Timestamp::now().duration_since(begun).as_secs_f64();
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut found = Vec::new();
    for panel in panels {
        found.push(find_lines(prometheus, panel, begun, seconds).await);
    }
    std::fs::write(file(), draw(panels, &found, seconds)).unwrap();
}

/// `UPDATE=1 cargo test --test observability live` draws it again.
#[test]
fn the_picture_in_the_documentation_shows_every_panel() {
    let picture = std::fs::read_to_string(file()).unwrap();
    for panel in dashboard()["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(picture.contains(&format!("\n{title}\n")), "docs/dashboard.svg has no {title}");
    }
}
