//! How sure a score is: the bootstrap over sentences.
//!
//! A sample draws as many sentences as there are, with replacement, and is scored as a whole. The
//! interval is that of the 2.5th and 97.5th percentile of the scores (Efron and Tibshirani, An
//! Introduction to the Bootstrap, 1993, section 13.3). Two systems are compared on the same drawn
//! sentences, so that what is hard for both drops out. With `d` the difference of the scores and
//! `d*` that of a sample,
//!
//! ```text
//! p = (1 + number of samples with |d* − d| ≥ |d|) / (1 + number of samples)
//! ```
//!
//! is the two-sided level at which the difference is not chance (section 16.4 there; Berg-Kirkpatrick,
//! Burkett and Klein, EMNLP 2012, for scores that are no sums).
//!
//! A sentence is its [`Chunks`] and a score is the F1 of their sum. Accuracy is the same with as many
//! gold and predicted chunks as tokens.

use crate::conlleval::Chunks;
use crate::random::Random;

/// How many samples are drawn, and from which seed.
///
/// ```
/// use asyn_data::Bootstrap;
/// use asyn_data::conlleval::Chunks;
///
/// let found = |correct| Chunks { gold: 4, predicted: 4, correct };
/// let a: Vec<Chunks> = (0..200).map(|i| found(2 + i % 2)).collect();
/// let b: Vec<Chunks> = (0..200).map(|i| found(3 + i % 2)).collect();
/// let interval = Bootstrap::default().interval(&a);
/// assert!(interval.low < 62.5 && 62.5 < interval.high);
/// let comparison = Bootstrap::default().compare(&a, &b);
/// assert!((comparison.difference - 25.0).abs() < 1e-9 && comparison.p < 0.01);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// The number of samples, at least 1.
    pub samples: u32,
    /// The seed of the draws.
    pub seed: u64,
}

/// An interval that holds a figure with a confidence of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How a second system differs from a first one on the same sentences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The score of the second less that of the first, in points.
    pub difference: f64,
    /// Where the difference is, with a confidence of 95 %.
    pub interval: Interval,
    /// How likely a difference as large is if the systems are equally good, two-sided.
    pub p: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 1000, seed: 1 }
    }
}

impl Bootstrap {
    /// Returns the interval of the F1 of `sentences`, in percent.
    ///
    /// # Panics
    ///
    /// If there is no sentence or no sample.
    pub fn interval(&self, sentences: &[Chunks]) -> Interval {
        Interval::of(self.draw(sentences.len(), |drawn| f1(sentences, drawn)))
    }

    /// Compares a second system `b` with a first one `a`, whose sentences are the same.
    ///
    /// # Panics
    ///
    /// If there is no sentence or no sample, or one system has more sentences than the other.
    pub fn compare(&self, a: &[Chunks], b: &[Chunks]) -> Comparison {
        assert_eq!(a.len(), b.len(), "sentences of the two systems");
        let all: Vec<usize> = (0..a.len()).collect();
        let difference = f1(b, &all) - f1(a, &all);
        let sampled = self.draw(a.len(), |drawn| f1(b, drawn) - f1(a, drawn));
        let is_extreme = |sample: &&f64| (**sample - difference).abs() >= difference.abs();
        let n_extreme = sampled.iter().filter(is_extreme).count();
        Comparison {
            difference,
            p: (1.0 + n_extreme as f64) / (1.0 + sampled.len() as f64),
            interval: Interval::of(sampled),
        }
    }

    /// Calls `score` on the sentence numbers of every sample.
    fn draw(&self, n_sentences: usize, score: impl Fn(&[usize]) -> f64) -> Vec<f64> {
        assert!(n_sentences > 0, "there are no sentences to draw from");
        let mut random = Random::new(self.seed);
        let mut drawn = vec![0; n_sentences];
        let mut sample = |_| {
            for sentence in &mut drawn {
                let number = random.below(n_sentences as u64);
                *sentence = usize::try_from(number).expect("the bound is a length");
            }
            score(&drawn)
        };
        (0..self.samples).map(&mut sample).collect()
    }
}

impl Interval {
    /// Returns the middle 95 % of some figures.
    fn of(mut figures: Vec<f64>) -> Self {
        assert!(!figures.is_empty(), "there are no samples");
        figures.sort_unstable_by(f64::total_cmp);
        let n_outside = figures.len() / 40;
        Self { low: figures[n_outside], high: figures[figures.len() - 1 - n_outside] }
    }
}

fn f1(sentences: &[Chunks], drawn: &[usize]) -> f64 {
    let mut sum = Chunks::default();
    for &sentence in drawn {
        sum.add(sentences[sentence]);
    }
    sum.f1()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences of one token that is right with the given probability.
    fn tokens(n: usize, probability: f64, seed: u64) -> Vec<Chunks> {
        let mut random = Random::new(seed);
        let mut token = || {
            let is_right = (random.next() >> 11) as f64 / (1u64 << 53) as f64 >= 1.0 - probability;
            Chunks { gold: 1, predicted: 1, correct: u64::from(is_right) }
        };
        (0..n).map(|_| token()).collect()
    }

    #[test]
    fn intervals_are_as_wide_as_theory_says() {
        let sentences = tokens(2500, 0.9, 3);
        let interval = Bootstrap::default().interval(&sentences);
        // 1.96 standard errors of a share of 0.9 in 2,500 draws are 1.18 points.
        assert!((interval.high - interval.low - 2.35).abs() < 0.3, "{interval:?}");
        assert_eq!(interval, Bootstrap::default().interval(&sentences));
        assert_ne!(interval, Bootstrap { seed: 2, ..Bootstrap::default() }.interval(&sentences));
    }

    #[test]
    fn chance_is_rarely_called_a_difference() {
        let n_runs = 60;
        let n_found = (0..n_runs)
            .filter(|run| {
                let bootstrap = Bootstrap { samples: 200, seed: *run };
                let (a, b) = (tokens(300, 0.8, 2 * run), tokens(300, 0.8, 2 * run + 1));
                bootstrap.compare(&a, &b).p < 0.05
            })
            .count();
        assert!(n_found <= 9, "{n_found} of {n_runs}");
    }

    #[test]
    fn equal_systems_do_not_differ() {
        let sentences = tokens(100, 0.7, 5);
        let comparison = Bootstrap::default().compare(&sentences, &sentences);
        let interval = Interval { low: 0.0, high: 0.0 };
        assert_eq!(comparison, Comparison { difference: 0.0, interval, p: 1.0 });
    }
}
