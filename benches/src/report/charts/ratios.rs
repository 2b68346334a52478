//! Bars on a logarithmic axis: our time divided by bumpalo's, workload by workload.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{COLOURS, text};
use crate::results::{Measured, Results, SUBJECT, Series, Spread};
use crate::targets;

const WIDTH: u32 = 1100;
const ROW: i32 = 26;
const TOP: i32 = 120;
const LEFT: i32 = 300;
const RIGHT: i32 = 1010;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

struct Bar {
    name: String,
    ratio: Spread,
    best: Option<f64>,
    target: Option<f64>,
}

fn bar(measured: &Measured, series: &Series) -> Option<Bar> {
    let suffix = series.peer.strip_prefix(SUBJECT)?.trim_start_matches([',', ' ']);
    let name =
        if suffix.is_empty() { measured.name.to_owned() } else { format!("{}, {suffix}", measured.name) };
    let best = measured.best_peer().and_then(|(best, _)| Some(measured.ratio(best)?.median));
    let target = targets::of(measured.name, series.peer).map(|target| target.ratio);
    Some(Bar { name, ratio: measured.ratio(series)?, best, target })
}

pub(super) fn draw(results: &Results, path: &Path) -> Result<(), Box<dyn Error>> {
    let of = |measured| move |series| bar(measured, series);
    let bars: Vec<Bar> = results
        .workloads
        .iter()
        .flat_map(|measured| measured.peers.iter().filter_map(of(measured)))
        .collect();
    let bottom = TOP + ROW * i32::try_from(bars.len())?;
    let area = SVGBackend::new(path, (WIDTH, u32::try_from(bottom)? + 50)).into_drawing_area();
    area.fill(&WHITE)?;

    let marks = bars.iter().flat_map(|bar| [Some(bar.ratio.median), bar.target, bar.best]).flatten();
    let (low, high) = marks.fold((0.5f64, 2f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
    // Whole halvings and doublings around all marks.
    let (low, high) = (low.log2().floor() as i32, high.log2().ceil() as i32);
    let x = |ratio: f64| {
        let share = (ratio.log2() - f64::from(low)) / f64::from(high - low);
        LEFT + (share.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)) as i32
    };

    area.draw(&Text::new("mallocator's time divided by bumpalo's", (24, 30), text(26, HPos::Left)))?;
    area.draw(&Text::new("left of the line at 1 mallocator is faster", (24, 60), text(17, HPos::Left)))?;
    legend(&area)?;

    // At most about eight labels, and always one at 1.
    let every = (high - low) / 8 + 1;
    for power in (low..=high).filter(|power| power % every == 0) {
        let place = x(2f64.powi(power));
        let line = if power == 0 { BLACK.stroke_width(2) } else { BLACK.mix(0.15).stroke_width(1) };
        area.draw(&PathElement::new(vec![(place, TOP - 4), (place, bottom)], line))?;
        let label = if power < 0 { format!("1/{}", 1u64 << -power) } else { (1u64 << power).to_string() };
        area.draw(&Text::new(label, (place, bottom + 18), text(17, HPos::Center)))?;
    }
    for (row, bar) in (0..).zip(&bars) {
        let middle = TOP + ROW * row + ROW / 2;
        draw_bar(&area, bar, middle, &x)?;
        area.draw(&Text::new(bar.name.clone(), (LEFT - 14, middle), text(16, HPos::Right)))?;
        let digits = if bar.ratio.median < 10.0 { 2 } else { 0 };
        let label = format!("{:.digits$}", bar.ratio.median);
        area.draw(&Text::new(label, (RIGHT + 20, middle), text(16, HPos::Left)))?;
    }
    area.present()?;
    Ok(())
}

/// The bar from 1 to the median, a thin line over the quartiles, the target and the best peer.
fn draw_bar(area: &Area<'_>, bar: &Bar, middle: i32, x: &impl Fn(f64) -> i32) -> Result<(), Box<dyn Error>> {
    let (one, end) = (x(1.0), x(bar.ratio.median));
    let colour = if bar.ratio.median <= 1.0 { COLOURS[1] } else { COLOURS[0] };
    area.draw(&Rectangle::new([(one.min(end), middle - 7), (one.max(end), middle + 7)], colour.filled()))?;
    let spread = vec![(x(bar.ratio.low), middle), (x(bar.ratio.high), middle)];
    area.draw(&PathElement::new(spread, BLACK.stroke_width(2)))?;
    if let Some(ratio) = bar.best {
        best_mark(area, (x(ratio), middle))?;
    }
    if let Some(target) = bar.target {
        target_mark(area, (x(target), middle))?;
    }
    Ok(())
}

fn target_mark(area: &Area<'_>, (x, y): (i32, i32)) -> Result<(), Box<dyn Error>> {
    area.draw(&Rectangle::new([(x - 2, y - 11), (x + 2, y + 11)], BLACK.filled()))?;
    Ok(())
}

fn best_mark(area: &Area<'_>, place: (i32, i32)) -> Result<(), Box<dyn Error>> {
    area.draw(&Circle::new(place, 5, WHITE.filled()))?;
    area.draw(&Circle::new(place, 5, BLACK.stroke_width(2)))?;
    Ok(())
}

fn legend(area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let y = 92;
    let label = |words, left| Text::new(words, (left, y), text(17, HPos::Left));
    for (left, colour, words) in [(24, COLOURS[1], "faster"), (140, COLOURS[0], "slower")] {
        area.draw(&Rectangle::new([(left, y - 7), (left + 26, y + 7)], colour.filled()))?;
        area.draw(&label(words, left + 34))?;
    }
    target_mark(area, (264, y))?;
    area.draw(&label("target", 276))?;
    best_mark(area, (370, y))?;
    area.draw(&label("the fastest peer", 384))?;
    area.draw(&PathElement::new(vec![(550, y), (580, y)], BLACK.stroke_width(2)))?;
    area.draw(&label("quartiles of the rounds", 590))?;
    Ok(())
}
