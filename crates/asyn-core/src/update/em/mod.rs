//! Expectation maximisation: weights are expected counts, and a gradient is that of some examples.
//!
//! | File       | Rule                                                            |
//! | ---------- | --------------------------------------------------------------- |
//! | `stepwise` | [`StepwiseEm`]: a moving average, after each step                |
//! | `batch`    | [`BatchEm`]: all counts are replaced after each pass             |
//! | `incremental` | [`IncrementalEm`]: those of its examples are replaced in each step |
//!
//! A model reads a probability as a count by the total of its multinomial. Totals that a model
//! would have to sum up in each step are weights too: the model adds to them what it adds to the
//! counts, and lists them as [`Multinomials`]. At quiet points they are summed up anew, in `f64`.
//! Between those, a racing addition that is lost makes them differ from the sum of the counts, and
//! so does rounding; the next quiet point tells by how much.
//!
//! Totals are written before the counts they belong to, so that a reader does not see more counts
//! than their total has.

mod batch;
mod incremental;
mod stepwise;

pub use batch::{BatchEm, BatchEmState};
pub use incremental::{IncrementalEm, IncrementalEmState};
pub use stepwise::{StepSizes, StepwiseEm, StepwiseEmState};

use std::sync::Arc;

use crate::Real;
use crate::layout::{Layout, TensorId};
use crate::shared::SharedWeights;

/// The counts of some multinomial distributions, and the tensor that holds their totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multinomials {
    /// The tensor with the counts.
    pub counts: TensorId,
    /// The tensor with the totals, one after another as it is stored.
    pub totals: TensorId,
    /// Which counts belong to the same distribution.
    pub groups: Groups,
}

/// Which counts of a tensor belong to the same multinomial distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// Ranges of places: distribution `i` has those from the number at `i` to that at `i + 1`.
    Ranges(Arc<[u32]>),
    /// The columns of a tensor of rows.
    Columns,
}

impl Multinomials {
    /// Sums up the totals of weights of a layout anew, in `f64`; returns the sum of all totals, and
    /// that of the absolute differences from what they were.
    ///
    /// # Panics
    ///
    /// Panics if the tensors are not of the layout or have no room for what they are said to hold.
    pub fn sum_up(&self, layout: &Layout, weights: &mut SharedWeights) -> (f64, f64) {
        let (counts, totals) = (layout.tensor(self.counts), layout.tensor(self.totals));
        let all = weights.as_mut_slice();
        let stored = &all[counts.start..][..counts.stored_len()];
        let sums: Vec<f64> = match &self.groups {
            Groups::Ranges(ends) => {
                let range = |ends: &[u32]| &stored[ends[0] as usize..ends[1] as usize];
                ends.windows(2).map(|ends| sum(range(ends))).collect()
            }
            Groups::Columns => {
                let (rows, columns) = counts.dim();
                let mut sums = vec![0.0; columns];
                for row in stored.chunks_exact(stored.len() / rows.max(1)) {
                    for (sum, &count) in sums.iter_mut().zip(row) {
                        *sum += f64::from(count);
                    }
                }
                sums
            }
        };
        let mut lost = 0.0;
        for (total, &sum) in all[totals.start..].iter_mut().zip(&sums) {
            lost += (f64::from(*total) - sum).abs();
            #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
            let rounded = sum as Real;
            *total = rounded;
        }
        (sums.iter().sum(), lost)
    }
}

/// Returns the sum of counts.
fn sum(counts: &[Real]) -> f64 {
    // Eight running sums, so that the additions do not wait for each other.
    let (chunks, rest) = counts.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        for (sum, &count) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(count);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&count| f64::from(count)).sum::<f64>()
}

/// Sums up all totals anew; returns the share by which they differed from what they were.
fn sum_up(multinomials: &[Multinomials], layout: &Layout, weights: &mut SharedWeights) -> f64 {
    let sums = multinomials.iter().map(|it| it.sum_up(layout, weights));
    let (all, lost) = sums.fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    if all > 0.0 { lost / all } else { 0.0 }
}
