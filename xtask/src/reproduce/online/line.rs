//! How far a contender has come at a time.

use asyn_report::statistics::{mean, median};
use serde::{Deserialize, Serialize};

/// What the weights of a run are worth at a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Moment {
    /// The passes so far.
    pub(super) passes: f64,
    /// The time of training so far; virtual where workers are simulated.
    pub(super) seconds: f64,
    /// Of the whole text, where the model has one.
    pub(super) log_likelihood: Option<f64>,
    /// In percent.
    pub(super) score: Option<f64>,
    /// In percent.
    pub(super) v_measure: Option<f64>,
}

/// One contender on one text.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) text: &'static str,
    /// What tables call the strategy.
    pub(super) name: &'static str,
    /// The update rule.
    pub(super) update: &'static str,
    pub(super) workers: u32,
    pub(super) is_simulated: bool,
    /// The examples of a mini-batch; 0 where all examples are one.
    pub(super) batch: u32,
    /// The mean of injected sleeps, in times of a mini-batch; 0 for none.
    pub(super) delay: f64,
    /// One run a seed, all with moments after the same passes.
    pub(super) runs: Vec<Vec<Moment>>,
}

/// What of a moment counts.
pub(super) type Value = fn(&Moment) -> Option<f64>;

/// The passes of one worker after which others are compared with it.
const PASSES: [f64; 9] = [1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0];

/// A time of one worker and of several to the same quality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    /// The passes of one worker.
    pub(super) passes: f64,
    pub(super) quality: f64,
    pub(super) seconds: f64,
}

impl Line {
    /// Returns the median time and the mean value of the runs at each moment.
    pub(super) fn curve(&self, value: Value) -> Vec<(f64, f64)> {
        let n = self.runs.iter().map(Vec::len).min().unwrap_or(0);
        let at = |at: usize| {
            let seconds: Vec<f64> = self.runs.iter().map(|run| run[at].seconds).collect();
            let values: Vec<f64> = self.runs.iter().filter_map(|run| value(&run[at])).collect();
            Some((median(&seconds)?, mean(&values)?))
        };
        (0..n).filter_map(at).collect()
    }

    /// Returns the value of each run at its last moment.
    pub(super) fn last(&self, value: Value) -> Vec<f64> {
        self.runs.iter().filter_map(|run| value(run.last()?)).collect()
    }

    /// Returns the median time of a run.
    pub(super) fn seconds(&self) -> Option<f64> {
        let seconds: Vec<f64> =
            self.runs.iter().filter_map(|run| Some(run.last()?.seconds)).collect();
        median(&seconds)
    }

    /// Returns the median time of a pass.
    pub(super) fn seconds_a_pass(&self) -> Option<f64> {
        let passes = self.runs.first()?.last()?.passes;
        (passes > 0.0).then_some(self.seconds()? / passes)
    }

    /// Returns the time to a value that rises, between moments by a straight line.
    pub(super) fn seconds_to(&self, quality: f64, value: Value) -> Option<f64> {
        seconds_to(quality, &self.curve(value))
    }

    /// Returns qualities that this line reaches after more and more passes, each better than all
    /// before.
    pub(super) fn levels(&self, value: Value) -> Vec<Level> {
        let Some(run) = self.runs.first() else {
            return Vec::new();
        };
        let curve = self.curve(value);
        let mut levels: Vec<Level> = Vec::new();
        for (moment, &(_, quality)) in run.iter().zip(&curve) {
            let is_better = levels.last().is_none_or(|level| quality > level.quality);
            if is_better && PASSES.contains(&moment.passes) {
                let seconds = seconds_to(quality, &curve);
                let passes = moment.passes;
                levels.extend(seconds.map(|seconds| Level { passes, quality, seconds }));
            }
        }
        levels
    }

    /// Says whether it is a line of stepwise EM.
    pub(super) fn is_stepwise(&self) -> bool {
        self.update == "stepwise"
    }

    /// Says whether `one` is the same update rule with mini-batches of the same size by one worker.
    pub(super) fn is_sped_up(&self, one: &Self) -> bool {
        (one.update, one.batch, one.workers) == (self.update, self.batch, 1) && self.workers > 1
    }

    /// Returns the workers, and what is to be known of them.
    pub(super) fn workers(&self, n_cores: u32) -> String {
        match (self.workers, self.is_simulated) {
            (n, true) => format!("{n} simulated"),
            (n, false) if n > n_cores => format!("{n} on {n_cores} cores"),
            (n, false) => n.to_string(),
        }
    }
}

fn seconds_to(quality: f64, curve: &[(f64, f64)]) -> Option<f64> {
    let at = curve.iter().position(|&(_, value)| value >= quality)?;
    let (seconds, value) = curve[at];
    let Some(&(before, lower)) = at.checked_sub(1).and_then(|at| curve.get(at)) else {
        return Some(seconds);
    };
    Some(before + (seconds - before) * (quality - lower) / (value - lower))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line of one run, with a moment a pass.
    pub(in super::super) fn line(workers: u32, seconds_a_pass: f64, values: &[f64]) -> Line {
        let moment = |(pass, &value): (usize, &f64)| {
            #[allow(clippy::cast_precision_loss, reason = "there are few passes")]
            let passes = pass as f64;
            Moment {
                passes,
                seconds: passes * seconds_a_pass,
                log_likelihood: Some(value),
                score: None,
                v_measure: None,
            }
        };
        Line {
            text: "text",
            name: "asyngrad",
            update: "stepwise",
            workers,
            is_simulated: false,
            batch: 10,
            delay: 0.0,
            runs: vec![values.iter().enumerate().map(moment).collect()],
        }
    }

    const LIKELIHOOD: Value = |moment| moment.log_likelihood;

    #[test]
    fn times_between_moments_lie_on_a_straight_line() {
        let line = line(1, 2.0, &[-100.0, -50.0, -40.0]);
        assert_eq!(line.seconds_to(-75.0, LIKELIHOOD), Some(1.0));
        assert_eq!(line.seconds_to(-40.0, LIKELIHOOD), Some(4.0));
        assert_eq!(line.seconds_to(-39.0, LIKELIHOOD), None);
        assert_eq!(line.seconds_to(-200.0, LIKELIHOOD), Some(0.0));
    }

    #[test]
    fn levels_are_those_that_are_better_than_all_before() {
        let line = line(1, 2.0, &[-100.0, -50.0, -60.0, -40.0]);
        let levels = line.levels(LIKELIHOOD);
        let found: Vec<(f64, f64, f64)> =
            levels.iter().map(|level| (level.passes, level.quality, level.seconds)).collect();
        assert_eq!(found, [(1.0, -50.0, 2.0), (3.0, -40.0, 6.0)]);
    }
}
