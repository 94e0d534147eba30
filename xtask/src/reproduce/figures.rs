//! The pictures of a reproduction.
//!
//! A strategy has one colour in all of them; its line is solid at the tuned
//! settings and dashed at the plain ones.

use asyn_report::statistics::{mean_curve, median};
use asyn_report::{Axis, Bar, BarGroup, Figure, Mark, Point, Run, Series};

use super::contender::Contender;
use super::page::threads;
use super::summary::{Arm, Summary};
use super::{Results, Settings};

/// The points below the lowest final score that the pictures show.
const DEPTH: f64 = 1.5;

/// Draws the score against the time of training, for the most threads.
pub(super) fn score_by_time(results: &Results) -> Figure {
    let most = results.arms.iter().map(|arm| arm.threads).max().unwrap_or(1);
    let (lowest, _) = range(results.summaries.iter().map(|row| row.score));
    let x = Axis::new("time of training (s)").log();
    let y = Axis::new("score on the test (%)").from(lowest - DEPTH);
    let mut caption = format!(
        "Means over seeds after each pass, with the range over seeds as a band; {} where there is \
         a choice. Solid: tuned settings; dashed: plain ones. The time axis is logarithmic.",
        threads(most)
    );
    if let Some(best) = results.experiment.best_possible {
        caption += &format!(" The best possible F1 is {best:.2}.");
    }
    let mut figure = Figure::lines("Score against time", x, y).caption(caption);
    for arm in &results.arms {
        if arm.contender.is_serial() || arm.threads == most {
            figure = figure.series(series(&arm.contender, points(arm)));
        }
    }
    if let Some(theirs) = results.experiment.theirs.first() {
        figure = figure.mark(Mark::new(theirs.score, format!("{} {}", theirs.score, theirs.name)));
    }
    figure
}

/// Draws the time of a pass, with a bar for each number of threads.
pub(super) fn time_a_pass(results: &Results) -> Figure {
    let mut groups: Vec<BarGroup> = Vec::new();
    for arm in &results.arms {
        let times: Vec<f64> = arm.each(Run::seconds_a_pass).iter().map(|time| time * 1e3).collect();
        let Some(value) = median(&times) else {
            continue;
        };
        let bar = Bar {
            name: threads(arm.threads),
            value,
            range: range(times.iter().copied()),
            text: format!("{value:.1} ms"),
        };
        match groups.last_mut().filter(|group| group.name == arm.contender.name) {
            Some(group) => group.bars.push(bar),
            None => groups.push(BarGroup { name: arm.contender.name.to_owned(), bars: vec![bar] }),
        }
    }
    Figure::bars("Time of a pass", Axis::new("time of the median pass (ms)"), groups)
        .caption("Medians over seeds, with the range over seeds as a line. Shorter is better.")
}

/// Draws the speed over that of serial training, by threads.
pub(super) fn speed_up(results: &Results, settings: &Settings) -> Figure {
    let most = f64::from(settings.threads.iter().copied().max().unwrap_or(1));
    let ideal = Series::new("ideal", [Point::new(1.0, 1.0), Point::new(most, most)]).reference();
    let x = Axis::new("threads").whole_numbers(settings.threads.iter().copied());
    let y = Axis::new("tokens/s, times those of serial training").from(0.0);
    let mut figure = Figure::lines("Speed-up by threads", x, y).caption(
        "Each against serial training at the same settings on the same kernels. Solid: tuned \
         settings; dashed: plain ones.",
    );
    // A contender has one arm a number of threads, and they stand together.
    for rows in results.summaries.chunk_by(|a, b| a.contender == b.contender) {
        let contender = rows[0].contender;
        if !contender.is_serial() {
            let points = rows.iter().filter_map(|row| speed_up_point(results, row));
            figure = figure.series(series(&contender, points));
        }
    }
    figure.series(ideal)
}

/// Returns the speed-up of `row`, with the range of its seeds.
fn speed_up_point(results: &Results, row: &Summary) -> Option<Point> {
    let is_of_row = |arm: &&Arm| arm.contender == row.contender && arm.threads == row.threads;
    let arm = results.arms.iter().find(is_of_row)?;
    let over_serial = row.over_serial?;
    let serial = row.tokens_per_second / over_serial;
    let (low, high) = range(arm.each(Run::tokens_per_second).into_iter());
    Some(Point::new(f64::from(row.threads), over_serial).with_band(low / serial, high / serial))
}

/// Returns the mean scores of an arm by mean time, with the range of its seeds.
fn points(arm: &Arm) -> Vec<Point> {
    points_by(arm, Run::score_by_time)
}

/// Returns the mean curve of an arm, with the range of its seeds.
pub(super) fn points_by(arm: &Arm, curve: impl Fn(&Run) -> Vec<(f64, f64)>) -> Vec<Point> {
    let curves: Vec<_> = arm.runs.iter().map(curve).collect();
    let means = mean_curve(&curves).into_iter().enumerate();
    means
        .map(|(at, (time, score))| {
            let (low, high) = range(curves.iter().map(|curve| curve[at].1));
            Point::new(time, score).with_band(low, high)
        })
        .collect()
}

fn series(contender: &Contender, points: impl IntoIterator<Item = Point>) -> Series {
    let series = Series::new(contender.name, points).colour(contender.colour);
    if contender.is_tuned { series } else { series.dashed() }
}

/// Returns the least and the greatest of `values`.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}
