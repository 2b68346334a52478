//! The charts, as SVG: one message each.

mod lines;
mod ratios;

use std::path::Path;

use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, IntoFont, RGBColor, TextStyle};

use crate::growth;
use crate::results::{Point, Results, Spread};

/// A chart that was drawn.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) file: &'static str,
    /// The growth that it shows, if any.
    pub(crate) about: Option<&'static str>,
}

/// Okabe and Ito's colours, which people who are colour-blind can tell apart; lines differ in their marks too.
const COLOURS: [RGBColor; 4] =
    [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(90, 90, 90)];

const FONT: &str = "sans-serif";

/// Draws what there are numbers for.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    if !results.workloads.is_empty() {
        let chart = Chart { title: "Time compared with bumpalo", file: "ratios.svg", about: None };
        ratios::draw(results, &folder.join(chart.file))
            .map_err(|error| format!("{}: {error}", chart.file))?;
        charts.push(chart);
    }
    for growth in &GROWTH {
        let points = if growth.about == growth::BY_SIZE { &results.by_size } else { &results.by_arenas };
        if points.is_empty() {
            continue;
        }
        lines::draw(growth, points, &folder.join(growth.file))
            .map_err(|error| format!("{}: {error}", growth.file))?;
        charts.push(Chart { title: growth.title, file: growth.file, about: Some(growth.about) });
    }
    Ok(charts)
}

/// Text beside, before or around a place, in the middle of its height.
fn text(size: i32, horizontal: HPos) -> TextStyle<'static> {
    (FONT, size).into_font().color(&BLACK).pos(Pos::new(horizontal, VPos::Center))
}

/// A chart of lines, one a peer.
struct Lines {
    about: &'static str,
    title: &'static str,
    file: &'static str,
    x: &'static str,
    y: &'static str,
    value: fn(&Point) -> f64,
}

const GROWTH: [Lines; 4] = [
    Lines {
        about: growth::BY_SIZE,
        title: "Time to fill a new arena, a byte",
        file: "time-by-size.svg",
        x: "size of the arena",
        y: "nanoseconds a byte",
        value: |point| Spread::of(&point.nanoseconds).median / point.at as f64,
    },
    Lines {
        about: growth::BY_SIZE,
        title: "Peak memory for each byte stored",
        file: "memory-by-size.svg",
        x: "size of the arena",
        y: "bytes resident a byte stored",
        value: |point| point.peak_bytes as f64 / point.at as f64,
    },
    Lines {
        about: growth::BY_ARENAS,
        title: "Time to make an arena and fill it with 4 KiB",
        file: "time-by-arenas.svg",
        x: "arenas alive",
        y: "microseconds an arena",
        value: |point| Spread::of(&point.nanoseconds).median / 1000.0 / point.at as f64,
    },
    Lines {
        about: growth::BY_ARENAS,
        title: "Peak memory of each arena that holds 4 KiB",
        file: "memory-by-arenas.svg",
        x: "arenas alive",
        y: "KiB resident an arena",
        value: |point| point.peak_bytes as f64 / 1024.0 / point.at as f64,
    },
];
