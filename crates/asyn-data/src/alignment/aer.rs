//! Alignment error rate.
//!
//! With sure links `S`, possible links `P ⊇ S` and predicted links `A`, summed over all pairs
//! (Och and Ney, "A Systematic Comparison of Various Statistical Alignment Models", Computational
//! Linguistics 29, 2003):
//!
//! ```text
//! recall = |A ∩ S| / |S|,  precision = |A ∩ P| / |A|,
//! AER = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)
//! ```

use super::gold::GoldLinks;
use super::links::Links;

/// Counts from which the score of alignments follows.
///
/// ```
/// use asyn_data::{AlignmentScore, GoldLinks, Links};
///
/// let gold = GoldLinks { sure: Links::new([(0, 0)]), possible: Links::new([(0, 0), (1, 1)]) };
/// let mut score = AlignmentScore::default();
/// score.add(&gold, &Links::new([(0, 0), (1, 0)]));
/// assert_eq!((score.precision(), score.recall()), (0.5, 1.0));
/// assert_eq!(score.aer(), Some(1.0 - 2.0 / 3.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlignmentScore {
    /// Predicted links.
    pub predicted: u64,
    /// Sure links.
    pub sure: u64,
    /// Predicted links that are sure.
    pub predicted_sure: u64,
    /// Predicted links that are possible.
    pub predicted_possible: u64,
}

impl AlignmentScore {
    /// Counts a pair.
    pub fn add(&mut self, gold: &GoldLinks, predicted: &Links) {
        let common = |links: &Links| predicted.iter().filter(|&it| links.contains(it)).count();
        self.predicted += predicted.len() as u64;
        self.sure += gold.sure.len() as u64;
        self.predicted_sure += common(&gold.sure) as u64;
        self.predicted_possible += common(&gold.possible) as u64;
    }

    /// Returns the share of predicted links that are possible; 0 where none is predicted.
    pub fn precision(&self) -> f64 {
        share(self.predicted_possible, self.predicted).unwrap_or(0.0)
    }

    /// Returns the share of sure links that are predicted; 0 where none is sure.
    pub fn recall(&self) -> f64 {
        share(self.predicted_sure, self.sure).unwrap_or(0.0)
    }

    /// Returns the alignment error rate, unless no link is predicted and none is sure.
    pub fn aer(&self) -> Option<f64> {
        let right = self.predicted_sure + self.predicted_possible;
        share(right, self.predicted + self.sure).map(|share| 1.0 - share)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of links are far below 2^53")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale() {
        let links = Links::new([(0, 0), (1, 2)]);
        let gold = GoldLinks { sure: links.clone(), possible: links.clone() };
        let score = |gold: &GoldLinks, links: &Links| {
            let mut score = AlignmentScore::default();
            score.add(gold, links);
            score.aer()
        };
        assert_eq!(score(&gold, &links), Some(0.0));
        assert_eq!(score(&gold, &Links::default()), Some(1.0));
        assert_eq!(score(&GoldLinks::default(), &Links::default()), None);
    }
}
