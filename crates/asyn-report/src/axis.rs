//! Axes: what they are called, how they are scaled, where their ticks are.

use std::ops::Range;

use plotters::coord::ranged1d::{
    KeyPointHint, KeyPointWeight, NoDefaultFormatting, Ranged, ValueFormatter,
};
use serde::Serialize;

/// One axis of a chart. Its label carries the unit, as in `time (s)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    pub(crate) label: String,
    pub(crate) is_log: bool,
    pub(crate) from: Option<f64>,
    pub(crate) to: Option<f64>,
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// Makes a linear axis that spans the data.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_log: false, from: None, to: None, ticks: Vec::new() }
    }

    /// Scales the axis by logarithms. Values that are not positive are left out.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.is_log = true;
        self
    }

    /// Starts the axis at `value`, which the data may go below.
    #[must_use]
    pub fn from(mut self, value: f64) -> Self {
        self.from = Some(value);
        self
    }

    /// Ends the axis at `value`.
    #[must_use]
    pub fn to(mut self, value: f64) -> Self {
        self.to = Some(value);
        self
    }

    /// Puts ticks at these whole numbers and at no others.
    #[must_use]
    pub fn whole_numbers(mut self, values: impl IntoIterator<Item = u32>) -> Self {
        self.ticks = values.into_iter().map(f64::from).collect();
        self
    }

    /// Returns the place of `value` on the paper, in the unit of its scale.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if self.is_log { value.log10() } else { value }
    }

    /// Returns the span and the ticks for data that lie within these values.
    pub(crate) fn scale(&self, values: impl Iterator<Item = f64>) -> Scale {
        let places = values.map(|value| self.place(value)).filter(|place| place.is_finite());
        let (mut low, mut high) = places
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
                (low.min(place), high.max(place))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let slack = if high > low { 0.04 * (high - low) } else { 0.5 };
        let low = self.from.map_or(low - slack, |from| self.place(from));
        let high = self.to.map_or(high + slack, |to| self.place(to)).max(low + 1e-9);
        let asked = self.ticks.iter().map(|&value| (self.place(value), number(value, 1.0)));
        let ticks = match (self.ticks.is_empty(), self.is_log) {
            (false, _) => asked.collect(),
            (true, true) => log_ticks(low, high),
            (true, false) => linear_ticks(low, high),
        };
        Scale { span: low..high, ticks }
    }
}

/// The drawn part of an axis: a coordinate whose values are places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    /// The places of its two ends.
    pub(crate) span: Range<f64>,
    /// The places of its ticks, with what is written there.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[allow(clippy::cast_possible_truncation, reason = "pixels are small numbers")]
    fn map(&self, place: &f64, limit: (i32, i32)) -> i32 {
        let share = (place - self.span.start) / (self.span.end - self.span.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight() {
            KeyPointWeight::Bold => self.ticks.iter().map(|(place, _)| *place).collect(),
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.span.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    /// Returns what is written at the tick at `place`.
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0.total_cmp(place).is_eq());
        tick.map_or_else(String::new, |(_, text)| text.clone())
    }
}

/// Returns four to nine ticks at multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    let mut ticks = Vec::new();
    let mut multiple = (low / step).ceil();
    while multiple * step <= high {
        ticks.push((multiple * step, number(multiple * step, step)));
        multiple += 1.0;
    }
    ticks
}

/// Returns ticks at 1, 2 and 5 times the powers of ten, or at the powers alone
/// where there are more than four of them. `low` and `high` are exponents.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let factors: &[f64] = if high - low > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ticks = Vec::new();
    let mut exponent = low.floor();
    while exponent <= high {
        let power = 10_f64.powf(exponent);
        let places = factors.iter().map(|factor| (factor * power).log10());
        let inside = places.zip(factors).filter(|(place, _)| (low..=high).contains(place));
        ticks.extend(inside.map(|(place, factor)| (place, number(factor * power, power))));
        exponent += 1.0;
    }
    ticks
}

/// Writes `value` with the digits that a step of `step` needs, thousands apart.
fn number(value: f64, step: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number of digits is between 0 and 12"
    )]
    let n_digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.n_digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let n_after = whole.len() - at;
        if at > 0 && n_after.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        let scale = Axis::new("F1").scale([92.13, 93.9].into_iter());
        assert_eq!(texts(&scale), ["92.5", "93.0", "93.5"]);
        let scale = Axis::new("tokens/s").from(0.0).scale([4_100_000.0].into_iter());
        assert_eq!(texts(&scale)[1], "1,000,000");
        let scale = Axis::new("change").scale([-1_500.0, 1_500.0].into_iter());
        assert!(texts(&scale).contains(&"-1,000"));
    }

    #[test]
    fn a_log_axis_has_ticks_at_1_2_and_5() {
        let scale = Axis::new("time (s)").log().scale([0.04, 1.1].into_iter());
        assert_eq!(texts(&scale), ["0.05", "0.1", "0.2", "0.5", "1"]);
        let scale = Axis::new("n").log().scale([1.0, 1e6].into_iter());
        assert_eq!(texts(&scale).last(), Some(&"1,000,000"));
    }

    #[test]
    fn ticks_can_be_whole_numbers() {
        let scale = Axis::new("threads").whole_numbers([1, 2]).scale([1.0, 2.0].into_iter());
        assert_eq!(scale.ticks, [(1.0, "1".to_owned()), (2.0, "2".to_owned())]);
    }

    #[test]
    fn one_value_none_and_no_number_have_an_axis_too() {
        for values in [vec![], vec![3.0], vec![f64::NAN, f64::INFINITY]] {
            let scale = Axis::new("x").scale(values.into_iter());
            assert!(scale.span.end > scale.span.start && scale.ticks.len() > 1, "{scale:?}");
        }
        let scale = Axis::new("x").log().scale([0.0, -1.0].into_iter());
        assert!(scale.span.start.is_finite());
    }
}
