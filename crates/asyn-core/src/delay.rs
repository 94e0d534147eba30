//! Sleeps that make gradients grow old.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::seed::{Purpose, SplitMix64};
use crate::simulate;

/// Injected sleeps: with some probability, a worker sleeps between computing the gradient of a step
/// and writing it, whatever the strategy.
///
/// A sleep lasts max(0, N(μ, (μ/5)²)), where μ is `mean`. Gimpel, Das and Smith, "Distributed
/// Asynchronous Online Learning for Natural Language Processing", CoNLL 2010, section 4, with
/// probability 1/4. Which steps sleep, and for how long, depends on the seed of the run and on the
/// ticket of the step alone; the system may wake a worker some 50 µs late. A simulated worker
/// sleeps in virtual time.
///
/// ```
/// use std::time::Duration;
///
/// use asyn_core::{Delay, Trainer};
///
/// let delay = Delay { mean: Duration::from_micros(50), probability: 0.25 };
/// assert!(Trainer::builder().delay(Some(delay)).build().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay {
    /// The mean length of a sleep.
    pub mean: Duration,
    /// The probability of a sleep in a step, from 0 to 1.
    pub probability: f64,
}

impl Delay {
    /// Returns how long the step of a ticket sleeps, if it does.
    fn length(&self, seed: u64, ticket: u64) -> Option<Duration> {
        let mut random = SplitMix64::stream(seed, Purpose::Delays, ticket, 0);
        // Three numbers in any case, so that the lengths do not depend on the probability.
        let [chance, radius, angle] = [(); 3].map(|()| random.unit());
        if f64::from(chance) >= self.probability {
            return None;
        }
        // Box and Muller: two uniform numbers make a normal one.
        let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos();
        Some(self.mean.mul_f32((1.0 + normal / 5.0).max(0.0)))
    }

    /// Sleeps as the step of a ticket does.
    pub(crate) fn sleep(&self, seed: u64, ticket: u64) {
        if let Some(length) = self.length(seed, ticket) {
            simulate::sleep(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_have_the_stated_distribution() {
        let delay = Delay { mean: Duration::from_millis(5), probability: 0.25 };
        let sleeps: Vec<f64> = (0..40_000)
            .filter_map(|ticket| delay.length(3, ticket))
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
