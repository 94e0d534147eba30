//! The loss and the errors of independent labels.
//!
//! ```text
//! p = softmax(s + b)          loss = −log p[gold]          δ = p − 1[gold]
//! ```
//!
//! Scores are shifted by the largest of their row, so nothing overflows; probabilities below
//! 4e-18 are exactly 0.

use super::{Kernel, Simd};

/// Exponents below this give exactly 0.
const LEAST_EXPONENT: f32 = -40.0;

/// Turns scores into errors and returns the summed loss.
pub(crate) struct Softmax<'a> {
    /// Rows of scores without bias, as long as `bias`; they become the errors.
    pub(crate) rows: &'a mut [f32],
    /// Minus infinity in the padding.
    pub(crate) bias: &'a [f32],
    /// The label of each row.
    pub(crate) gold: &'a [u16],
}

impl Kernel for Softmax<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let width = self.bias.len();
        let mut loss = 0.0;
        for (row, &gold) in self.rows.chunks_exact_mut(width).zip(self.gold) {
            let gold = usize::from(gold);
            let score = row[gold] + self.bias[gold];
            let mut largest = s.splat(f32::NEG_INFINITY);
            for at in (0..width).step_by(S::LANES) {
                let score = s.add(s.load(&row[at..]), s.load(&self.bias[at..]));
                largest = s.max(largest, score);
            }
            let shift = s.largest(largest);
            let mut total = s.zero();
            for at in (0..width).step_by(S::LANES) {
                let score = s.add(s.load(&row[at..]), s.load(&self.bias[at..]));
                let exp = s.exp_from(s.sub(score, s.splat(shift)), LEAST_EXPONENT);
                total = s.add(total, exp);
                s.store(exp, &mut row[at..]);
            }
            let total = s.sum(total);
            let inverse = s.splat(1.0 / total);
            for lanes in row.chunks_exact_mut(S::LANES) {
                s.store(s.mul(s.load(lanes), inverse), lanes);
            }
            row[gold] -= 1.0;
            loss += f64::from(total).ln() + f64::from(shift) - f64::from(score);
        }
        loss
    }
}
