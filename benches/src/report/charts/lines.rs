//! Lines over a logarithmic axis: how cost grows.

use std::error::Error;
use std::path::Path;

use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{COLOURS, FONT, Lines, text};
use crate::growth;
use crate::report::bytes;
use crate::results::Point;

pub(super) fn draw(chart: &Lines, points: &[Point], path: &Path) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (1000, 560)).into_drawing_area();
    area.fill(&WHITE)?;

    // Nothing has no place on a logarithmic axis: where memory is not above an empty process's, there is no point.
    let series = |peer| -> Vec<(f64, f64)> {
        let of_peer = points.iter().filter(|point| point.peer == peer);
        of_peer.map(|point| (point.at as f64, (chart.value)(point))).filter(|(_, y)| *y > 0.0).collect()
    };
    let all: Vec<(f64, f64)> = growth::peers().flat_map(series).collect();
    if all.is_empty() {
        return Err("there is nothing to draw".into());
    }
    let (left, right) = ends(all.iter().map(|point| point.0));
    let (low, high) = ends(all.iter().map(|point| point.1));

    let by_size = chart.about == growth::BY_SIZE;
    let (x_ticks, y_ticks) = (ticks(left, right, if by_size { 8.0 } else { 10.0 }), steps(low, high));
    let (bottom, top) = (y_ticks[0].min(low) * 0.9, y_ticks[y_ticks.len() - 1].max(high) * 1.1);
    let (head, body) = area.split_vertically(84);
    head.draw(&Text::new(chart.title, (24, 30), text(26, HPos::Left)))?;
    // Above the lines and not among them: wherever it stood there, some line would pass behind it.
    for (index, (peer, colour)) in growth::peers().zip(COLOURS).enumerate() {
        let left = 24 + 170 * i32::try_from(index)?;
        head.draw(&PathElement::new(vec![(left, 66), (left + 30, 66)], colour.stroke_width(3)))?;
        head.draw(&mark(index, (left + 15, 66), colour))?;
        head.draw(&Text::new(peer, (left + 40, 66), text(18, HPos::Left)))?;
    }
    let mut plot = ChartBuilder::on(&body)
        .margin(18)
        .margin_right(40)
        .x_label_area_size(56)
        .y_label_area_size(90)
        .build_cartesian_2d(
            (left * 0.9..right * 1.1).log_scale().with_key_points(x_ticks),
            (bottom..top).log_scale().with_key_points(y_ticks),
        )?;
    plot.configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .label_style((FONT, 17))
        .axis_desc_style((FONT, 19))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_label_formatter(&|&x| if by_size { bytes(x.round() as u64) } else { format!("{x:.0}") })
        .y_label_formatter(&|&y| format!("{y}"))
        .draw()?;

    for (index, (peer, colour)) in growth::peers().zip(COLOURS).enumerate() {
        let line = series(peer);
        plot.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(3)))?;
        plot.draw_series(line.into_iter().map(|place| mark(index, place, colour)))?;
    }
    area.present()?;
    Ok(())
}

fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), number| (low.min(number), high.max(number)))
}

/// A mark of its own for each line: not everyone sees the colours.
fn mark<DB: DrawingBackend, C: Clone + 'static>(
    index: usize,
    place: C,
    colour: RGBColor,
) -> DynElement<'static, DB, C> {
    match index {
        0 => Circle::new(place, 5, colour.filled()).into_dyn(),
        1 => TriangleMarker::new(place, 7, colour.filled()).into_dyn(),
        2 => Cross::new(place, 5, colour.stroke_width(3)).into_dyn(),
        _ => Circle::new(place, 5, colour.stroke_width(2)).into_dyn(),
    }
}

/// `from`, and that times `factor`, and so on.
fn ticks(from: f64, to: f64, factor: f64) -> Vec<f64> {
    let after = |last: &f64| (last * factor <= to * 1.01).then_some(last * factor);
    std::iter::successors(Some(from), after).collect()
}

/// 1, 2, 5, 10, 20 and so on, as many as are needed to enclose the values; over many powers of ten only 1, 10, 100.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let factors: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let step = |factor: &f64, power: i32| {
        // Divided, where that is: 5 / 100 prints as 0.05, and 5 * 0.01 may not.
        if power < 0 { factor / 10f64.powi(-power) } else { factor * 10f64.powi(power) }
    };
    let all: Vec<f64> =
        (first..=last).flat_map(|power| factors.iter().map(move |factor| step(factor, power))).collect();
    let from = all.iter().rposition(|&step| step <= low).unwrap_or(0);
    let to = all.iter().position(|&step| step >= high).unwrap_or(all.len() - 1);
    all[from..=to.max(from)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_enclose_the_values() {
        assert_eq!(steps(0.3, 4.0), [0.2, 0.5, 1.0, 2.0, 5.0]);
        assert_eq!(steps(0.05, 900.0), [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(1.0, 10_000.0, 10.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
    }
}
