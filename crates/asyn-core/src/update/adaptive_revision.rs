//! Step sizes by the gradients so far, which tolerate delay: AdaptiveRevision.
//!
//! McMahan and Streeter, "Delay-Tolerant Algorithms for Asynchronous Distributed Online Learning",
//! NIPS 2014, algorithm 1. AdaGrad divides the step size of a weight by the root of the sum of
//! its squared gradients. A gradient that was computed on old weights is worth more care: with the
//! sum `b` of those that were applied since its weights were read, the sum of squares grows by
//!
//! ```text
//! b     = ḡ − ḡ as it was when the step read
//! η_old = η₀ / √z'
//! z     ← z + g² + 2 g b,      z' ← max(z', z),      η = η₀ / √z'
//! w     ← w − η g + (η_old − η) b,      ḡ ← ḡ + g
//! ```
//!
//! for each weight on its own; `z` and `z'` start at 1. Gradients that point the same way as
//! those they did not know of make the steps smaller, and the steps that were taken meanwhile are
//! revised to the step size that they should have had. Without delay `b` is 0, and this
//! is AdaGrad (Duchi, Hazan and Singer, JMLR 2011).
//!
//! | Table | Holds, for each weight | Written                    |
//! | ----- | ---------------------- | -------------------------- |
//! | 1     | `ḡ`                    | by compare and swap: an addition that is lost would be missing in every later `b` |
//! | 2     | `z − 1`                | load, add, store           |
//! | 3     | `z' − 1`               | load, maximum, store       |
//!
//! A step adds up the gradients of a block before it is applied. L2 for the objective
//! `Σ ℓ + λ/2 ‖w‖²` is a part of the gradient: `λ/n w` at each of the `n` uses of a block
//! in a pass, with the weights as they are when the step is written.
//!
//! A worker that keeps rows for itself would not see what others add to `ḡ`, so the trainer
//! refuses replicas.

use super::{Step, Training, Update, Window, check_l2, check_positive};
use crate::Real;
use crate::error::Result;
use crate::gradient::{Cells, Gradient, Outer, Spreads, Sum};
use crate::layout::{Layout, TensorId};
use crate::shared::{SharedWeights, WeightsView};
use crate::worker::Worker;

/// The table of the sums of gradients.
const TOTAL: usize = 1;
/// The table of the sums of squares.
const SQUARES: usize = 2;
/// The table of their maxima.
const MOST_SQUARES: usize = 3;

/// Delay-tolerant step sizes by the gradients so far.
///
/// ```
/// use asyn_core::{AdaptiveRevision, AsynGrad, Trainer};
///
/// let update = AdaptiveRevision { rate: 0.1, l2: 0.5 };
/// assert!(Trainer::builder().strategy(AsynGrad).update(update).threads(4).build().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveRevision {
    /// The step size at the start, `η₀`.
    pub rate: Real,
    /// λ of the objective `Σ ℓ + λ/2 ‖w‖²`.
    pub l2: Real,
}

/// What [`AdaptiveRevision`] keeps during a run.
#[derive(Debug)]
pub struct AdaptiveRevisionState {
    layout: Layout,
    tables: [SharedWeights; 3],
    /// The share of L2 at a use of each block, `λ / n`.
    shrink: Vec<Real>,
}

/// Where a block is in each table, and as it was when the step read.
struct Block<'w> {
    weights: WeightsView<'w>,
    total: WeightsView<'w>,
    total_read: WeightsView<'w>,
    squares: WeightsView<'w>,
    most_squares: WeightsView<'w>,
}

/// What is computed of one block.
#[derive(Debug, Default)]
struct Scratch {
    gradient: Vec<Real>,
    weights: Vec<Real>,
    total: Vec<Real>,
    total_read: Vec<Real>,
    squares: Vec<Real>,
    most_squares: Vec<Real>,
}

impl<'w> Block<'w> {
    fn row(worker: &'w Worker<'_>, tensor: TensorId, row: u32) -> Self {
        let of = |table| worker.row_for_writing(table, tensor, row);
        Self {
            weights: of(0),
            total: of(TOTAL),
            total_read: worker.kept_row(tensor, row),
            squares: of(SQUARES),
            most_squares: of(MOST_SQUARES),
        }
    }

    fn whole(worker: &'w Worker<'_>, tensor: TensorId) -> Self {
        let of = |table| worker.whole_for_writing(table, tensor);
        Self {
            weights: of(0),
            total: of(TOTAL),
            // A sum that was held back may be of a tensor that the last step did not touch.
            total_read: worker.kept_whole(tensor).unwrap_or_else(|| of(TOTAL)),
            squares: of(SQUARES),
            most_squares: of(MOST_SQUARES),
        }
    }
}

impl Scratch {
    /// Starts with the gradient of a block.
    fn start(&mut self, gradient: &[Real]) {
        self.gradient.clear();
        self.gradient.extend_from_slice(gradient);
    }

    /// Applies the gradient to a block but for its weights; turns it into what these gain.
    fn revise(&mut self, rate: Real, shrink: Real, block: &Block<'_>) {
        let Self { gradient, weights, total, total_read, squares, most_squares } = self;
        let read = |out: &mut Vec<Real>, view: &WeightsView<'_>| {
            out.resize(gradient.len(), 0.0);
            view.read_into(out);
        };
        read(total, &block.total);
        read(total_read, &block.total_read);
        read(squares, &block.squares);
        read(most_squares, &block.most_squares);
        if shrink > 0.0 {
            read(weights, &block.weights);
            for (g, weight) in gradient.iter_mut().zip(&*weights) {
                *g += shrink * weight;
            }
        }
        block.total.add_scaled_cas(1.0, gradient);
        for i in 0..gradient.len() {
            let (g, since) = (gradient[i], total[i] - total_read[i]);
            let rate_before = rate / (1.0 + most_squares[i]).sqrt();
            squares[i] += g * g + 2.0 * g * since;
            most_squares[i] = most_squares[i].max(squares[i]);
            let rate = rate / (1.0 + most_squares[i]).sqrt();
            gradient[i] = (rate_before - rate) * since - rate * g;
        }
        block.squares.write_from(squares);
        block.most_squares.write_from(most_squares);
    }
}

impl AdaptiveRevision {
    fn apply_rows(
        &self,
        state: &AdaptiveRevisionState,
        spreads: &Spreads,
        worker: &Worker<'_>,
        scratch: &mut Scratch,
    ) {
        let tensor = spreads.tensor();
        let first_block = state.layout.tensor(tensor).first_block;
        let mut gains = Gradient::new(0.0);
        spreads.each_row(|row, gradient, n_uses| {
            scratch.start(gradient);
            let shrink = n_uses * state.shrink[first_block + row as usize];
            scratch.revise(self.rate, shrink, &Block::row(worker, tensor, row));
            gains.add_rows(tensor, &[row], &scratch.gradient);
        });
        gains.spreads().iter().for_each(|gain| worker.add_rows(0, gain, 1.0));
    }

    #[allow(clippy::cast_precision_loss, reason = "a few examples")]
    fn apply_whole(
        &self,
        state: &AdaptiveRevisionState,
        sum: &Sum,
        worker: &mut Worker<'_>,
        scratch: &mut Scratch,
    ) {
        scratch.start(&sum.values);
        let block = state.layout.tensor(sum.tensor).first_block;
        let shrink = state.shrink[block] * sum.n_examples as Real;
        scratch.revise(self.rate, shrink, &Block::whole(worker, sum.tensor));
        let gain = Sum { values: scratch.gradient.clone(), ..*sum };
        worker.blend_whole(0, &gain, 1.0, 1.0);
    }
}

/// Returns a sum of outer products as the gradient of a whole tensor.
fn whole_of(layout: &Layout, outer: &Outer) -> Sum {
    let tensor = layout.tensor(outer.tensor);
    let (inputs, columns) = tensor.dim();
    let sum = SharedWeights::zeroed(tensor.stored_len());
    sum.panels(0, inputs, columns).rank_update(1.0, &outer.x, &outer.delta, outer.n);
    Sum { tensor: outer.tensor, values: sum.to_vec(), n_examples: 1 }
}

impl Update for AdaptiveRevision {
    type State = AdaptiveRevisionState;

    fn name(&self) -> &'static str {
        "adaptive-revision"
    }

    fn describe(&self) -> String {
        format!("{} with step {}, l2 {}", self.name(), self.rate, self.l2)
    }

    fn check(&self) -> Result<()> {
        check_positive("rate", self.rate)?;
        check_l2(self.l2)
    }

    fn needs_frequencies(&self) -> bool {
        true
    }

    #[allow(clippy::cast_precision_loss, reason = "a share needs no more than f32")]
    fn start(&self, training: &Training<'_>) -> AdaptiveRevisionState {
        let frequencies = training.frequencies.as_ref().expect("the trainer counts on request");
        let table = || SharedWeights::zeroed(training.layout.len());
        AdaptiveRevisionState {
            layout: training.layout.clone(),
            tables: [table(), table(), table()],
            shrink: frequencies.uses.iter().map(|&n| self.l2 / n.max(1) as Real).collect(),
        }
    }

    fn tables<'s>(&self, state: &'s AdaptiveRevisionState) -> Vec<&'s SharedWeights> {
        state.tables.iter().collect()
    }

    fn kept_table(&self) -> Option<usize> {
        Some(TOTAL)
    }

    fn between(&self, _: &mut AdaptiveRevisionState, _: &Window, _: &mut SharedWeights) {}

    fn apply(
        &self,
        state: &AdaptiveRevisionState,
        step: &Step,
        gradient: &Gradient,
        worker: &mut Worker<'_>,
    ) {
        let mut scratch = Scratch::default();
        for spreads in gradient.spreads() {
            self.apply_rows(state, spreads, worker, &mut scratch);
        }
        if step.writes_sums {
            for sum in gradient.sums() {
                self.apply_whole(state, sum, worker, &mut scratch);
            }
        }
        for outer in gradient.outers().iter().filter(|outer| outer.n > 0) {
            let sum = whole_of(&state.layout, outer);
            self.apply_whole(state, &sum, worker, &mut scratch);
        }
        for cell in gradient.cells().iter().flat_map(Cells::iter) {
            let block = Gradient::of_cell(&state.layout, cell);
            for spreads in block.spreads() {
                self.apply_rows(state, spreads, worker, &mut scratch);
            }
            for sum in block.sums() {
                self.apply_whole(state, sum, worker, &mut scratch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use crate::touched::Touched;
    use crate::update::Frequencies;
    use crate::worker::{Private, Write};

    /// The algorithm for one weight, in double precision.
    #[derive(Default)]
    struct ByHand {
        weight: f64,
        total: f64,
        squares: f64,
        most_squares: f64,
    }

    impl ByHand {
        fn apply(&mut self, rate: f64, gradient: f64, total_read: f64) {
            let since = self.total - total_read;
            let before = rate / (1.0 + self.most_squares).sqrt();
            self.squares += gradient * gradient + 2.0 * gradient * since;
            self.most_squares = self.most_squares.max(self.squares);
            let now = rate / (1.0 + self.most_squares).sqrt();
            self.weight += (before - now) * since - now * gradient;
            self.total += gradient;
        }
    }

    #[test]
    fn steps_that_were_taken_meanwhile_are_revised() {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", 3, 1);
        let update = AdaptiveRevision { rate: 0.5, l2: 0.0 };
        let n_blocks = layout.n_blocks();
        let frequencies = Frequencies { examples: vec![1; n_blocks], uses: vec![1; n_blocks] };
        let training = Training {
            layout: &layout,
            n_examples: 1,
            examples_per_step: 1,
            n_workers: 3,
            frequencies: Some(frequencies),
        };
        let state = update.start(&training);
        let weights = SharedWeights::zeroed(layout.len());
        let mut touched = Touched::default();
        touched.add_rows(rows, &[1]);
        let mut copies = [(); 3].map(|()| Snapshot::new(&layout));
        let tables = || std::iter::once(&weights).chain(update.tables(&state)).collect();
        let mut workers = copies.each_mut().map(|copy| {
            Worker::new(0, &layout, tables(), Write::Racy, Private::None).with_kept(Some((1, copy)))
        });
        let step = Step { ticket: 0, writes_sums: true };
        let mut by_hand = ByHand::default();
        let mut totals_read = [0.0; 3];
        // Who reads and who writes, with which gradient: delays of 0, 1 and 2 steps, gradients that
        // agree and that do not.
        let acts = [
            (0, None),
            (0, Some(1.0)),
            (0, None),
            (1, None),
            (2, None),
            (1, Some(2.0)),
            (0, Some(-3.0)),
            (0, None),
            (2, Some(0.5)),
            (1, None),
            (0, Some(-0.5)),
            (1, Some(0.1)),
        ];
        for (worker, gradient) in acts {
            let Some(value) = gradient else {
                workers[worker].plan_copies(&touched);
                workers[worker].keep();
                totals_read[worker] = by_hand.total;
                continue;
            };
            let mut gradient = Gradient::new(0.0);
            // Two uses of the row, whose gradients are added up first.
            for part in [0.25, 0.75] {
                let mut values = [0.0; 8];
                values[0] = part * value;
                gradient.add_rows(rows, &[1], &values);
            }
            update.apply(&state, &step, &gradient, &mut workers[worker]);
            by_hand.apply(0.5, f64::from(value), totals_read[worker]);
            let weight = f64::from(weights.view(8, 8).get(0));
            assert!((weight - by_hand.weight).abs() < 1e-6, "{weight} {}", by_hand.weight);
        }
        assert!(by_hand.squares < by_hand.most_squares, "some gradients disagreed");
    }
}
