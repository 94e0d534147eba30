//! Times competing acts in turn, so that a change of the machine's speed hits all alike.
//!
//! Criterion runs one act for seconds before the next; a ratio of two acts then contains
//! what the machine did in between. Here every round runs each act for a fraction of a
//! millisecond, and the figures are medians over rounds.

use std::time::Instant;

/// The least time of one act in one round, in seconds.
const SLICE: f64 = 2e-4;

/// The rounds that are measured.
const ROUNDS: usize = 41;

/// The timing of several acts that ran in turn.
pub(crate) struct Timing {
    /// Seconds a call, by act and round.
    seconds: Vec<Vec<f64>>,
}

impl Timing {
    /// Runs all `acts` in turn and returns their times.
    pub(crate) fn of(acts: &mut [&mut dyn FnMut()]) -> Self {
        let calls: Vec<usize> = acts.iter_mut().map(|act| calls_in_slice(act)).collect();
        let mut seconds = vec![Vec::with_capacity(ROUNDS); acts.len()];
        for round in 0..ROUNDS {
            for turn in 0..acts.len() {
                // Each act follows each other one equally often.
                let act = (round + turn) % acts.len();
                seconds[act].push(seconds_a_call(acts[act], calls[act]));
            }
        }
        Self { seconds }
    }

    /// Returns the median time of a call of `act`, in seconds.
    pub(crate) fn seconds(&self, act: usize) -> f64 {
        median(self.seconds[act].clone())
    }

    /// Returns the median over rounds of the time of `act` relative to `baseline`.
    pub(crate) fn ratio(&self, act: usize, baseline: usize) -> f64 {
        let pairs = self.seconds[act].iter().zip(&self.seconds[baseline]);
        median(pairs.map(|(act, baseline)| act / baseline).collect())
    }
}

fn calls_in_slice(act: &mut dyn FnMut()) -> usize {
    let mut calls = 1;
    while seconds_a_call(act, calls) * (calls as f64) < SLICE {
        calls *= 2;
    }
    calls
}

fn seconds_a_call(act: &mut dyn FnMut(), calls: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        act();
    }
    start.elapsed().as_secs_f64() / calls as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
