//! The objective over all examples.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use super::dot;
use crate::Real;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::gradient::Gradient;
use crate::model::Model;
use crate::shared::SharedWeights;
use crate::worker::Worker;

/// The mean objective of a model over all examples, `f(w) = 1/m Σᵢ ℓᵢ(w) + λ/2m ‖w‖²`.
///
/// # Precision
///
/// Losses and gradients are computed by the model in f32, one example at a time, and summed in
/// f64; the regulariser is f64 throughout. The model sees each weight rounded to f32, that is
/// to 1 part in 2²⁴. The gradient is therefore that of a point up to `6·10⁻⁸ ‖w‖` away, and off
/// by up to `6·10⁻⁸ q ‖w‖` for it, beside the rounding within each example, of which the mean
/// over many keeps little. Values are good to 7 digits of the sums that a loss is the difference
/// of, for a CRF to about 6 of its own, which is why [`Lbfgs`](super::Lbfgs) near the minimum goes
/// by slopes.
///
/// # Examples
///
/// ```
/// use asyn_core::Model;
/// use asyn_core::theory::{FullObjective, Lbfgs, Stop};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(200, 40, 1));
/// let mut objective = FullObjective::new(&model, &clicks, 1.0)?;
/// let start = vec![0.0; model.layout().len()];
/// let minimum = Lbfgs::default().minimize(start, |w, gradient| objective.evaluate(w, gradient));
/// assert_eq!(minimum.stop, Stop::Tolerance);
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FullObjective<'a, M: Model> {
    model: &'a M,
    examples: &'a [M::Example],
    l2: f64,
    weights: SharedWeights,
    shares: Vec<Share<M::Workspace>>,
}

/// The examples of one thread, with its memory.
#[derive(Debug)]
struct Share<W> {
    ids: Vec<u32>,
    workspace: W,
    gradient: Gradient,
    /// The gradient of these examples.
    sum: Vec<f64>,
}

impl<'a, M: Model> FullObjective<'a, M> {
    /// Makes the objective of `model` over `examples`; `l2` is λ, as for [`Sgd`](crate::Sgd).
    ///
    /// A model that draws at random, for example dropout masks, draws for each example what it
    /// draws in the first pass of a run with seed 0.
    ///
    /// # Errors
    ///
    /// [`Error::NoExamples`], and [`Error::Setting`] if `l2` is below 0 or not finite.
    ///
    /// # Panics
    ///
    /// Panics if there are more than 2³² examples.
    pub fn new(model: &'a M, examples: &'a [M::Example], l2: f64) -> Result<Self> {
        if examples.is_empty() {
            return Err(Error::NoExamples);
        }
        if !(l2.is_finite() && l2 >= 0.0) {
            let (setting, expected) = ("l2", "at least 0 and finite");
            return Err(Error::Setting { setting, expected, actual: l2.to_string() });
        }
        let weights = SharedWeights::zeroed(model.layout().len());
        let objective = Self { model, examples, l2, weights, shares: Vec::new() };
        Ok(objective.with_threads(NonZeroUsize::MIN))
    }

    /// Makes so many threads evaluate the objective, each a share of the examples. Shares are
    /// summed in the order of the examples: the same number of threads gives the same bits.
    ///
    /// # Panics
    ///
    /// Panics if there are more than 2³² examples.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        let n = u32::try_from(self.examples.len()).expect("example ids are u32");
        let ids: Vec<u32> = (0..n).collect();
        let share = |ids: &[u32]| Share {
            ids: ids.to_vec(),
            workspace: self.model.workspace(),
            gradient: Gradient::new(0.0),
            sum: vec![0.0; self.weights.len()],
        };
        let most = ids.len().div_ceil(threads.get());
        self.shares = ids.chunks(most).map(share).collect();
        self
    }

    /// Sets `gradient` to `∇f(w)` and returns `f(w)`. Both vectors are laid out as the weights
    /// are, padding included; padding counts as weights that no loss depends on.
    ///
    /// # Panics
    ///
    /// Panics if `w` or `gradient` has another length than the model's layout; propagates the
    /// panic of a thread.
    #[allow(clippy::cast_possible_truncation, reason = "the model reads f32")]
    #[allow(clippy::cast_precision_loss, reason = "examples are far fewer than 2^53")]
    pub fn evaluate(&mut self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let layout = self.model.layout();
        assert_eq!(w.len(), layout.len(), "the number of weights");
        assert_eq!(gradient.len(), layout.len(), "the length of the gradient");
        for (weight, &w) in self.weights.as_mut_slice().iter_mut().zip(w) {
            *weight = w as Real;
        }
        gradient.fill(0.0);
        let (model, examples, weights) = (self.model, self.examples, &self.weights);
        let loss: f64 = thread::scope(|scope| {
            let evaluate = |share: &mut Share<_>| share.evaluate(model, examples, weights);
            let spawn = |share| scope.spawn(move || evaluate(share));
            let threads: Vec<_> = self.shares.iter_mut().map(spawn).collect();
            let join = |thread: ScopedJoinHandle<'_, f64>| {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            threads.into_iter().map(join).sum()
        });
        for share in &self.shares {
            gradient.iter_mut().zip(&share.sum).for_each(|(all, part)| *all += part);
        }
        let m = self.examples.len() as f64;
        for (gradient, &w) in gradient.iter_mut().zip(w) {
            *gradient = (*gradient + self.l2 * w) / m;
        }
        (loss + self.l2 / 2.0 * dot(w, w)) / m
    }
}

impl<W> Share<W> {
    /// Sets `sum` to the gradient of the summed loss of these examples, and returns the loss.
    fn evaluate<M: Model<Workspace = W>>(
        &mut self,
        model: &M,
        examples: &[M::Example],
        weights: &SharedWeights,
    ) -> f64 {
        let layout = model.layout();
        let worker = Worker::reader(layout, weights);
        self.sum.fill(0.0);
        let mut loss = 0.0;
        for id in self.ids.chunks(1) {
            let batch = Batch::new(0, 0, id, examples);
            self.gradient.clear();
            self.gradient.clear_sums();
            loss += model.gradient(&worker, &batch, &mut self.workspace, &mut self.gradient);
            self.gradient.add_to(layout, &mut self.sum);
        }
        loss
    }
}
