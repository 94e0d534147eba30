//! Workers that now and then sleep over their gradient.

use std::f32::consts::TAU;
use std::time::Duration;

use asyn_core::{
    Lane, Model, Purpose, Segment, SplitMix64, Strategy, Update, run_workers, simulate,
};

/// `AsynGrad` whose workers, with some probability, sleep between computing a gradient and
/// writing it, so that the gradient grows old.
///
/// A sleep lasts max(0, N(μ, (μ/5)²)), where μ is `mean`. Gimpel, Das and Smith, "Distributed
/// Asynchronous Online Learning for Natural Language Processing", CoNLL 2010, section 4, with
/// probability 1/4. Who sleeps in which of its steps, and for how long, depends on the seed
/// alone; the system may wake a worker some 50 µs late. A simulated worker
/// sleeps in virtual time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delayed {
    /// The mean length of a sleep.
    pub mean: Duration,
    /// The probability of a sleep in a step, from 0 to 1.
    pub probability: f64,
    /// Where the randomness of the sleeps comes from.
    pub seed: u64,
}

impl Delayed {
    /// Draws how long a worker sleeps in a step, if it does.
    fn sleep(&self, random: &mut SplitMix64) -> Option<Duration> {
        // Three numbers a step in any case, so that the lengths do not depend on the probability.
        let [chance, radius, angle] = [(); 3].map(|()| random.unit());
        if f64::from(chance) >= self.probability {
            return None;
        }
        // Box and Muller: two uniform numbers make a normal one.
        let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos();
        Some(self.mean.mul_f32((1.0 + normal / 5.0).max(0.0)))
    }
}

impl Default for Delayed {
    /// No sleeps at all: a mean of 0, with probability 1/4.
    fn default() -> Self {
        Self { mean: Duration::ZERO, probability: 0.25, seed: 1 }
    }
}

impl Strategy for Delayed {
    fn name(&self) -> &'static str {
        "delayed"
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        run_workers(segment, lanes, |stepper| {
            // A model's streams have the number of a pass here, which is never so large.
            let worker = u64::MAX - stepper.index() as u64;
            let mut random =
                SplitMix64::stream(self.seed, Purpose::Model, worker, segment.first_ticket);
            while stepper.draw() {
                stepper.read();
                stepper.compute();
                if let Some(length) = self.sleep(&mut random) {
                    simulate::sleep(length);
                }
                stepper.write();
            }
            stepper.finish();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_have_the_stated_distribution() {
        let delayed = Delayed { mean: Duration::from_millis(5), ..Delayed::default() };
        let mut random = SplitMix64::new(3);
        let sleeps: Vec<f64> = (0..40_000)
            .filter_map(|_| delayed.sleep(&mut random))
            .map(|length| length.as_secs_f64() * 1e3)
            .collect();
        let n = sleeps.len() as f64;
        let mean = sleeps.iter().sum::<f64>() / n;
        let variance = sleeps.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        assert!((n / 40_000.0 - 0.25).abs() < 0.01, "a share of {}", n / 40_000.0);
        assert!((mean - 5.0).abs() < 0.05, "mean {mean}");
        assert!((variance.sqrt() - 1.0).abs() < 0.05, "deviation {}", variance.sqrt());
    }
}
