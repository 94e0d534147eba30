//! Drawing groups of horizontal bars.
//!
//! The name of a group stands at the left of its bars, the value of a bar at
//! its end, and a thin line from the least to the greatest value on it. All
//! bars start at 0, or their lengths would say nothing.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::colour::{self, GRID, INK};
use crate::figure::BarChart;
use crate::lines::{DrawError, WIDTH, text_style};

/// The left end of all bars, in pixels.
const LEFT: i32 = 210;
/// The room at the right for the text of the longest bar.
const RIGHT: i32 = 200;
const TOP: i32 = 40;
const BOTTOM: i32 = 46;
const BAR: i32 = 15;
const GAP: i32 = 12;

/// Draws `chart` as SVG.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "pixels are small numbers"
)]
pub(crate) fn draw(chart: &BarChart) -> Result<String, DrawError> {
    let bars = || chart.groups.iter().flat_map(|group| &group.bars);
    let axis = chart.axis.clone().from(0.0);
    let scale = axis.scale(bars().flat_map(|bar| [bar.value, bar.range.1]));
    let n_bars = i32::try_from(bars().count())?;
    let n_groups = i32::try_from(chart.groups.len())?;
    let bottom = TOP + n_bars * BAR + n_groups * GAP;
    let right = i32::try_from(WIDTH)? - RIGHT;
    let at = |value: f64| {
        let share = (value - scale.span.start) / (scale.span.end - scale.span.start);
        LEFT + (share.clamp(0.0, 1.0) * f64::from(right - LEFT)).round() as i32
    };
    let names = names(chart);

    let mut svg = String::new();
    {
        let size = (WIDTH, u32::try_from(bottom + BOTTOM)?);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let put = |text: &str, place: (i32, i32), h: HPos| {
            let style = text_style(INK, h, VPos::Center);
            root.draw(&Text::new(text.to_owned(), place, style))
        };
        for (place, text) in &scale.ticks {
            let x = at(*place);
            root.draw(&PathElement::new([(x, TOP), (x, bottom)], GRID))?;
            put(text, (x, bottom + 12), HPos::Center)?;
        }
        put(&axis.label, (i32::midpoint(LEFT, right), bottom + 32), HPos::Center)?;
        draw_key(&names, |x, idx, name| {
            let square = [(x, TOP - 30), (x + 12, TOP - 18)];
            root.draw(&Rectangle::new(square, colour::series(idx).filled()))?;
            put(name, (x + 18, TOP - 24), HPos::Left)?;
            Ok(())
        })?;

        let mut y = TOP + GAP / 2;
        for group in &chart.groups {
            let height = i32::try_from(group.bars.len())? * BAR;
            put(&group.name, (LEFT - 10, y + height / 2), HPos::Right)?;
            for bar in &group.bars {
                let idx = names.iter().position(|name| *name == bar.name).unwrap_or(0);
                let fill = colour::series(idx).filled();
                let corners = [(LEFT, y + 1), (at(bar.value), y + BAR - 1)];
                root.draw(&Rectangle::new(corners, fill))?;
                let (least, greatest) = (at(bar.range.0), at(bar.range.1));
                let middle = y + BAR / 2;
                if greatest > least {
                    root.draw(&PathElement::new([(least, middle), (greatest, middle)], INK))?;
                }
                put(&bar.text, (greatest.max(at(bar.value)) + 7, middle), HPos::Left)?;
                y += BAR;
            }
            y += GAP;
        }
        root.draw(&PathElement::new([(LEFT, TOP), (LEFT, bottom)], INK))?;
        root.present()?;
    }
    Ok(svg)
}

/// Returns the names of bars, each once, in the order of their first bars.
fn names(chart: &BarChart) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for bar in chart.groups.iter().flat_map(|group| &group.bars) {
        if !names.contains(&bar.name.as_str()) {
            names.push(&bar.name);
        }
    }
    names
}

/// Calls `put` with a place for each name; one name alone needs no key.
fn draw_key(
    names: &[&str],
    mut put: impl FnMut(i32, usize, &str) -> Result<(), DrawError>,
) -> Result<(), DrawError> {
    let mut x = LEFT;
    if names.len() > 1 {
        for (idx, name) in names.iter().enumerate() {
            put(x, idx, name)?;
            x += 44 + 8 * i32::try_from(name.chars().count())?;
        }
    }
    Ok(())
}
