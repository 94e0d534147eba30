//! Drawing a chart of lines.
//!
//! ```text
//! y label
//! ┌──────────────┬────────┐
//! │   the lines  │ legend │   the legend is in the order in which lines end,
//! └──────────────┴────────┘   so that it is read beside them
//!     x label
//! ```

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::axis::{Axis, Scale};
use crate::colour::{self, FAINT, GRID, INK};
use crate::figure::{LineChart, Mark, Series};

/// The width of every chart in pixels; the page scales it to its own.
pub(crate) const WIDTH: u32 = 860;
const HEIGHT: u32 = 420;
/// The width of the legend; one series alone needs none.
const LEGEND_WIDTH: u32 = 216;
const LEGEND_STEP: i32 = 22;
const MARGIN: i32 = 8;
/// The room above the plot, where the label of the y axis stands.
const HEADROOM: i32 = 34;

pub(crate) type DrawError = Box<dyn std::error::Error + Send + Sync>;
type Canvas<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws `chart` as SVG.
pub(crate) fn draw(chart: &LineChart) -> Result<String, DrawError> {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let x = chart.x.scale(points().map(|point| point.x));
    let marks = chart.marks.iter().map(|mark| mark.y);
    let y = chart.y.scale(points().flat_map(|point| [point.low, point.high]).chain(marks));

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let has_legend = chart.series.len() > 1;
        let width = if has_legend { WIDTH - LEGEND_WIDTH } else { WIDTH };
        let (plot, legend) = root.split_horizontally(width);
        let mut canvas = ChartBuilder::on(&plot)
            .margin(MARGIN)
            .margin_top(HEADROOM)
            .x_label_area_size(48)
            .y_label_area_size(58)
            .build_cartesian_2d(x.clone(), y.clone())?;
        // The label stands above its axis, where it is read without turning the head.
        let style = text_style(INK, HPos::Left, VPos::Top);
        root.draw(&Text::new(chart.y.label.clone(), (MARGIN, MARGIN), style))?;
        draw_axes(&mut canvas, &chart.x, &x, &y)?;
        for (idx, series) in chart.series.iter().enumerate() {
            draw_band(&canvas, chart, series, colour_of(series, idx), &y)?;
        }
        for mark in &chart.marks {
            draw_mark(&canvas, &chart.y, mark, &x)?;
        }
        for (idx, series) in chart.series.iter().enumerate() {
            draw_line(&canvas, chart, series, colour_of(series, idx), &y)?;
        }
        if has_legend {
            draw_legend(&legend, &chart.series)?;
        }
        root.present()?;
    }
    Ok(svg)
}

pub(crate) fn text_style(colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // The backend divides sizes by 1.24, so this is 13 pixels.
    let font = ("sans-serif", 16.12).into_font();
    TextStyle { font, color: colour.to_backend_color(), pos: Pos::new(h, v) }
}

fn colour_of(series: &Series, idx: usize) -> RGBColor {
    if series.is_reference { FAINT } else { colour::series(series.colour.unwrap_or(idx)) }
}

fn draw_axes(
    canvas: &mut Canvas<'_, '_>,
    x_axis: &Axis,
    x: &Scale,
    y: &Scale,
) -> Result<(), DrawError> {
    canvas
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(INK)
        .set_all_tick_mark_size(3)
        .x_labels(x.ticks.len())
        .y_labels(y.ticks.len())
        .label_style(text_style(INK, HPos::Left, VPos::Top))
        .axis_desc_style(text_style(INK, HPos::Left, VPos::Top))
        .x_desc(x_axis.label.clone())
        .draw()?;
    Ok(())
}

/// Draws the band between the low and the high values of a series.
fn draw_band(
    canvas: &Canvas<'_, '_>,
    chart: &LineChart,
    series: &Series,
    colour: RGBColor,
    y: &Scale,
) -> Result<(), DrawError> {
    if series.points.iter().all(|point| point.low >= point.high) {
        return Ok(());
    }
    let place = |x: f64, value: f64| (chart.x.place(x), chart.y.place(value).max(y.span.start));
    let low = series.points.iter().map(|point| place(point.x, point.low));
    let high = series.points.iter().rev().map(|point| place(point.x, point.high));
    let outline: Vec<(f64, f64)> = low.chain(high).filter(is_finite).collect();
    canvas.plotting_area().draw(&Polygon::new(outline, colour.mix(0.16)))?;
    Ok(())
}

/// Draws the line of a series and, where it was measured, its points.
fn draw_line(
    canvas: &Canvas<'_, '_>,
    chart: &LineChart,
    series: &Series,
    colour: RGBColor,
    y: &Scale,
) -> Result<(), DrawError> {
    let places = series.points.iter().map(|point| (chart.x.place(point.x), chart.y.place(point.y)));
    let places = clip(&places.filter(is_finite).collect::<Vec<_>>(), y.span.start);
    let area = canvas.plotting_area();
    let path = places.iter().copied();
    if series.is_dashed || series.is_reference {
        area.draw(&DashedPathElement::new(path, 5, 4, colour.stroke_width(2)))?;
    } else {
        area.draw(&PathElement::new(path.collect::<Vec<_>>(), colour.stroke_width(2)))?;
    }
    if !series.is_reference {
        for place in places.into_iter().filter(|place| place.1 > y.span.start) {
            area.draw(&Circle::new(place, 3, colour.filled()))?;
        }
    }
    Ok(())
}

/// Draws a level with its label, which stands at the left above the line.
fn draw_mark(
    canvas: &Canvas<'_, '_>,
    axis: &Axis,
    mark: &Mark,
    x: &Scale,
) -> Result<(), DrawError> {
    let level = axis.place(mark.y);
    let area = canvas.plotting_area();
    let ends = [(x.span.start, level), (x.span.end, level)];
    area.draw(&DashedPathElement::new(ends, 2, 3, FAINT.stroke_width(1)))?;
    let style = text_style(FAINT, HPos::Left, VPos::Bottom);
    let label = Text::new(mark.label.clone(), (6, -3), style);
    area.draw(&(EmptyElement::at(ends[0]) + label))?;
    Ok(())
}

fn draw_legend(area: &Area<'_>, series: &[Series]) -> Result<(), DrawError> {
    let end = |idx: &usize| series[*idx].points.last().map_or(f64::NEG_INFINITY, |point| point.y);
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|a, b| end(b).total_cmp(&end(a)));
    let mut height = HEADROOM + LEGEND_STEP / 2;
    for idx in order {
        let series = &series[idx];
        let colour = colour_of(series, idx);
        let ends = [(4, height), (30, height)];
        if series.is_dashed || series.is_reference {
            area.draw(&DashedPathElement::new(ends, 5, 4, colour.stroke_width(2)))?;
        } else {
            area.draw(&PathElement::new(ends, colour.stroke_width(2)))?;
        }
        let style = text_style(INK, HPos::Left, VPos::Center);
        area.draw(&Text::new(series.name.clone(), (38, height), style))?;
        height += LEGEND_STEP;
    }
    Ok(())
}

fn is_finite(place: &(f64, f64)) -> bool {
    place.0.is_finite() && place.1.is_finite()
}

/// Cuts off what of a line is below `low`; where it crosses, it gets a point.
/// What is drawn outside of its area would be moved to the edge, not cut.
fn clip(places: &[(f64, f64)], low: f64) -> Vec<(f64, f64)> {
    let mut clipped = Vec::new();
    for (at, &place) in places.iter().enumerate() {
        if let Some(&before) = at.checked_sub(1).and_then(|at| places.get(at))
            && (before.1 < low) != (place.1 < low)
        {
            let share = (low - before.1) / (place.1 - before.1);
            clipped.push((before.0 + share * (place.0 - before.0), low));
        }
        if place.1 >= low {
            clipped.push(place);
        }
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_crosses_the_edge() {
        let places = [(0.0, 0.0), (1.0, 2.0), (2.0, 3.0)];
        assert_eq!(clip(&places, 1.0), [(0.5, 1.0), (1.0, 2.0), (2.0, 3.0)]);
        assert_eq!(clip(&places, -1.0), places);
        assert!(clip(&places, 4.0).is_empty());
    }
}
