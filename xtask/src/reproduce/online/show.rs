//! Tables and figures that the studies have in common.

use asyn_report::statistics::{mean, standard_deviation};
use asyn_report::{Axis, Figure, Point, Series, Table};

use super::line::{Line, Value};
use crate::reproduce::figures::range;

/// Returns a number of so many digits, or a dash.
pub(super) fn number(value: Option<f64>, n_digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
}

/// Returns mean and standard deviation of so many digits.
pub(super) fn spread(values: &[f64], n_digits: usize) -> String {
    match (mean(values), standard_deviation(values)) {
        (Some(mean), Some(deviation)) => format!("{mean:.n_digits$} ± {deviation:.n_digits$}"),
        (mean, _) => number(mean, n_digits),
    }
}

/// Returns the number of the colour of a line: that of its strategy, but for one delayed worker and
/// for more threads than there are cores, which have those of others beside them.
fn colour(line: &Line, n_cores: u32) -> usize {
    match line.name {
        _ if line.workers > n_cores && !line.is_simulated => 3,
        _ if line.workers == 1 && line.delay > 0.0 => 6,
        "stepwise, serial" | "SGD, serial" => 0,
        "asyngrad" => 1,
        "synchronous" => 2,
        "locked" => 4,
        _ => 5,
    }
}

/// Draws a value of some lines against the time of training.
pub(super) fn by_time<'a>(
    title: impl Into<String>,
    y: Axis,
    lines: impl IntoIterator<Item = &'a Line>,
    value: Value,
    n_cores: u32,
) -> Figure {
    let mut figure = Figure::lines(title, Axis::new("time of training (s)").log(), y).caption(
        "Means over runs, with their range as a band, against the median time. Dashed: simulated, \
         in virtual time. The time axis is logarithmic.",
    );
    for line in lines {
        let curve = line.curve(value).into_iter().enumerate();
        let points: Vec<Point> = curve
            .filter(|(_, (seconds, _))| *seconds > 0.0)
            .map(|(at, (seconds, mean))| {
                let (low, high) = range(line.runs.iter().filter_map(|run| value(&run[at])));
                Point::new(seconds, mean).with_band(low, high)
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        let mut name = match line.workers {
            1 if !line.is_simulated => line.name.to_owned(),
            _ => format!("{}, {}", line.name, line.workers(n_cores)),
        };
        if line.delay > 0.0 {
            name += ", delayed";
        }
        let series = Series::new(name, points).colour(colour(line, n_cores));
        figure = figure.series(if line.is_simulated { series.dashed() } else { series });
    }
    figure
}

/// Compares the times of several workers to a quality with those of one: `T_1(Q) / T_p(Q)` for
/// each quality that one worker has after some passes.
pub(super) fn against_one(one: &Line, others: &[&Line], value: Value, n_digits: usize) -> Table {
    let mut header = vec!["passes of one".to_owned(), "quality".to_owned(), "T₁ (s)".to_owned()];
    let name = |line: &&Line| {
        let simulated = if line.is_simulated { " simulated" } else { "" };
        format!("{} {}{simulated}", line.name, line.workers)
    };
    header.extend(others.iter().map(name));
    let table = Table::new(header).note(
        "Each is T₁/Tₚ, the time of one worker to the quality over that of p; between moments time \
         is taken to go by a straight line. Above p it is marked with >: better than ideal.",
    );
    one.levels(value).into_iter().fold(table, |table, level| {
        let ratio = |line: &&Line| {
            let ratio = line.seconds_to(level.quality, value).map(|time| level.seconds / time);
            let is_above = ratio.is_some_and(|ratio| ratio > f64::from(line.workers));
            let mark = if is_above { format!(" > {}", line.workers) } else { String::new() };
            number(ratio, 2) + &mark
        };
        let mut row = vec![
            format!("{:.0}", level.passes),
            number(Some(level.quality), n_digits),
            number(Some(level.seconds), 3),
        ];
        row.extend(others.iter().map(ratio));
        table.row(row)
    })
}

/// Compares lines under delays, by the time to a quality: that of one undelayed worker over that
/// of each. The first line is the undelayed worker.
pub(super) fn under_delays(lines: &[Line], quality: f64, value: Value, n_cores: u32) -> Table {
    let mut delays: Vec<f64> = lines.iter().map(|line| line.delay).collect();
    delays.sort_by(f64::total_cmp);
    delays.dedup();
    let mut header = vec!["strategy".to_owned(), "workers".to_owned()];
    header.extend(delays.iter().map(|delay| match *delay {
        0.0 => "no delay".to_owned(),
        delay => format!("µ = {delay} batches"),
    }));
    let one = lines.first().and_then(|line| line.seconds_to(quality, value));
    let mut table = Table::new(header).note(format!(
        "Each is the time of one undelayed worker to the quality, {} s, over that of the row: below \
         1 it is slower. A quarter of the mini-batches sleep max(0, N(µ, (µ/5)²)) between gradient \
         and write; µ is in times of a mini-batch of one undelayed worker.",
        number(one, 3)
    ));
    let mut rows: Vec<&Line> = Vec::new();
    for line in lines {
        let is_new = !rows.iter().any(|row| (row.name, row.workers) == (line.name, line.workers));
        if is_new {
            rows.push(line);
        }
    }
    for row in rows {
        let of_row = |delay: f64| {
            let is_one = |line: &&Line| {
                (line.name, line.workers, line.delay) == (row.name, row.workers, delay)
            };
            let line = lines.iter().find(is_one)?;
            Some(one? / line.seconds_to(quality, value)?)
        };
        let mut cells = vec![row.name.to_owned(), row.workers(n_cores)];
        cells.extend(delays.iter().map(|&delay| number(of_row(delay), 2)));
        table = table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;

    const LIKELIHOOD: Value = |moment| moment.log_likelihood;

    #[test]
    fn better_than_ideal_is_marked() {
        let one = line(1, 1.0, &[-9.0, -5.0, -4.0]);
        let (fast, slow) = (line(2, 0.4, &[-9.0, -5.0, -4.0]), line(2, 0.8, &[-9.0, -5.0, -4.5]));
        let table = against_one(&one, &[&fast, &slow], LIKELIHOOD, 1).to_string();
        let rows: Vec<&str> = table.lines().skip(1).collect();
        assert!(rows[0].contains("2.50 > 2") && rows[0].contains("1.25"), "{table}");
        assert!(rows[1].contains('–') && !rows[0].contains("1.25 >"), "{table}");
    }

    #[test]
    fn delays_are_compared_with_one_undelayed_worker() {
        let one = line(1, 1.0, &[-9.0, -5.0, -4.0]);
        let delayed = Line { delay: 8.0, ..line(1, 4.0, &[-9.0, -5.0, -4.0]) };
        let table = under_delays(&[one, delayed], -5.0, LIKELIHOOD, 2).to_string();
        assert!(table.lines().any(|row| row.contains("1.00") && row.contains("0.25")), "{table}");
    }
}
