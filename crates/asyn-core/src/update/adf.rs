//! Step sizes by feature frequency: ADF.
//!
//! A weight that is used often learns fast and should slow down early; a rare one
//! should not. ADF (Sun, Wang and Li, "Fast Online Training with Frequency-Adaptive
//! Learning Rates for Chinese Word Segmentation and New Word Detection", ACL 2012,
//! section 4) cuts a pass into windows and multiplies the step size of each weight
//! after each window by
//!
//! ```text
//! η = α − u (α − β),      u = the share of the window's examples that use the weight
//! ```
//!
//! Here the share is taken from the whole training set rather than counted in
//! each window. The step size of a block in window `k` then has the closed form
//! `c ηᵏ`, which depends only on the block's frequency: a table of windows by
//! *frequency classes* holds all of them, and nothing is counted or swept while
//! workers run.
//!
//! # Blocks that an example uses several times
//!
//! The gradient of an example is a sum over its uses of a block: an attribute that every token of a
//! sentence of thirty has would be moved thirty times as far as one that a single token has. The
//! step size of a block is therefore divided by how often an example that uses it does so, in the
//! mean over the training set. In the source, whose templates have no such attributes, it
//! is not.
//!
//! # Regularisation on touch
//!
//! L2 for the objective `Σ ℓ + λ/2 ‖w‖²` multiplies a block by `1 − γ λ/n` at each of
//! its `n` uses in a pass, rather than by `1 − γ λ/m` in each of `m` steps: the same
//! shrinkage a pass in expectation, written only where the gradient is written.
//! `n` is the mean over the blocks of a class. The other forms of L2 that there are for ADF sweep
//! over all weights between two windows or passes, with the new step sizes.

use super::l2::{check_form, in_words, shrink_blocks};
use super::{
    Frequencies, L2Form, Step, Training, Update, Window, check_factor, check_l2, check_positive,
    check_setting,
};
use crate::Real;
use crate::error::Result;
use crate::gradient::Gradient;
use crate::layout::{Layout, TensorId};
use crate::shared::SharedWeights;
use crate::worker::Worker;

/// Frequency-adaptive step sizes in closed form.
///
/// ```
/// use asyn_core::Adf;
///
/// let adf = Adf { rate: 0.1, ..Adf::default() };
/// assert_eq!(adf.windows, 10);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adf {
    /// The step size at the start, `c`.
    pub rate: Real,
    /// The factor a window for a block that is never used, `α`.
    pub alpha: Real,
    /// The factor a window for a block that every example uses, `β`.
    pub beta: Real,
    /// The number of windows in a pass.
    pub windows: u32,
    /// A further factor a pass on all step sizes.
    pub factor: Real,
    /// λ of the objective `Σ ℓ + λ/2 ‖w‖²`.
    pub l2: Real,
    /// When L2 shrinks the weights: on touch if nothing else is asked for, per window or per pass.
    pub l2_form: Option<L2Form>,
}

/// The values of the source (ACL 2012, section 5.2), with λ = 1.
impl Default for Adf {
    fn default() -> Self {
        Self {
            rate: 0.1,
            alpha: 0.995,
            beta: 0.6,
            windows: 10,
            factor: 1.0,
            l2: 1.0,
            l2_form: None,
        }
    }
}

/// What [`Adf`] keeps during a run.
#[derive(Debug)]
pub struct AdfState {
    n_examples: u64,
    /// The frequency class of each block of row tensors, by number of the block.
    class_of: Vec<u16>,
    layout: Layout,
    classes: Vec<Class>,
    /// The step sizes of the current segment, by window and class.
    rates: Vec<Rate>,
    first_window: u64,
}

/// Blocks that are used in the same number of examples.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// The share of examples that use a block.
    share: f64,
    /// How often a block is used in a pass, on average.
    uses: f64,
    /// By what step sizes are divided: how often an example that uses a block does so, on average.
    uses_an_example: f64,
}

/// A step size, and the shrinkage that goes with it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    pub(super) rate: Real,
    /// What a block loses at each use, as a share: `γ λ / n` in [`Adf`].
    pub(super) shrink: Real,
}

impl Adf {
    /// Returns the number of the window in which `ticket` falls.
    pub(super) fn window(&self, ticket: u64, n_examples: u64) -> u64 {
        ticket * u64::from(self.windows) / n_examples
    }

    /// Returns the first ticket of a window.
    pub(super) fn window_start(&self, window: u64, n_examples: u64) -> u64 {
        (window * n_examples).div_ceil(u64::from(self.windows))
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a step size needs no more than f32"
    )]
    fn rate(&self, class: &Class, window: u64) -> Rate {
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let eta = alpha - class.share.min(1.0) * (alpha - beta);
        let pass = window / u64::from(self.windows);
        let rate = f64::from(self.rate) / class.uses_an_example
            * eta.powf(window as f64)
            * f64::from(self.factor).powf(pass as f64);
        let shrink = match self.form() {
            L2Form::OnTouch => rate * f64::from(self.l2) / class.uses,
            _ => 0.0,
        };
        Rate { rate: rate as Real, shrink: shrink as Real }
    }

    fn form(&self) -> L2Form {
        self.l2_form.unwrap_or(L2Form::OnTouch)
    }

    /// Returns in how large a part of a pass L2 was put off until now, `ticket`.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn share_put_off(&self, ticket: u64, n_examples: u64) -> f64 {
        let Some(last) = ticket.checked_sub(1) else { return 0.0 };
        let is_new = self.window_start(self.window(ticket, n_examples), n_examples) == ticket;
        match self.form() {
            L2Form::PerWindow if is_new => {
                let start = self.window_start(self.window(last, n_examples), n_examples);
                (ticket - start) as f64 / n_examples as f64
            }
            L2Form::PerPass if ticket.is_multiple_of(n_examples) => 1.0,
            _ => 0.0,
        }
    }
}

impl AdfState {
    #[inline]
    fn rates(&self, window: u64) -> &[Rate] {
        let n = self.classes.len();
        let last = self.rates.len() / n - 1;
        let at = usize::try_from(window - self.first_window).map_or(last, |at| at.min(last));
        &self.rates[at * n..][..n]
    }

    #[inline]
    fn classes_of(&self, tensor: TensorId) -> &[u16] {
        &self.class_of[self.layout.tensor(tensor).first_block..]
    }
}

/// Sorts blocks into classes by the number of examples that use them.
///
/// A corpus with `d` different frequencies has at least `d²/2` uses, so 65,535
/// classes serve up to two thousand million of them; beyond that the most frequent
/// blocks share the last class.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn classify(frequencies: &Frequencies, n_examples: usize) -> (Vec<u16>, Vec<Class>) {
    // Counts are at most the number of examples: a table of them takes the place of sorting.
    let most = frequencies.examples.iter().copied().max().unwrap_or(0) as usize;
    let mut occurs = vec![false; most + 1];
    frequencies.examples.iter().for_each(|&count| occurs[count as usize] = true);
    let distinct: Vec<usize> = (0..=most).filter(|&count| occurs[count]).collect();
    let mut class_of_count = vec![u16::MAX; most + 1];
    for (class, &count) in (0..=u16::MAX).zip(&distinct) {
        class_of_count[count] = class;
    }
    let mut sums = vec![(0u64, 0u64); distinct.len()];
    let class_of: Vec<u16> = frequencies
        .examples
        .iter()
        .zip(&frequencies.uses)
        .map(|(&examples, &uses)| {
            let class = class_of_count[examples as usize];
            let sum = &mut sums[usize::from(class)];
            sum.0 += u64::from(uses);
            sum.1 += 1;
            class
        })
        .collect();
    let classes = distinct
        .iter()
        .zip(&sums)
        .take(usize::from(u16::MAX) + 1)
        .map(|(&examples, &(uses, blocks))| {
            let uses = (uses as f64 / blocks.max(1) as f64).max(1.0);
            Class {
                share: examples as f64 / n_examples as f64,
                uses,
                uses_an_example: uses / examples.max(1) as f64,
            }
        })
        .collect();
    (class_of, classes)
}

/// Applies a gradient with a step size for each block: `rates_of` returns those of the rows of a
/// tensor, or that of a whole tensor as of its row 0.
#[inline(always)]
pub(super) fn apply_rates<R: Fn(u32) -> Rate>(
    step: &Step,
    gradient: &Gradient,
    worker: &mut Worker<'_>,
    rates_of: impl Fn(TensorId) -> R,
) {
    worker.with_scratch(|worker, keep, rate| {
        for spreads in gradient.spreads() {
            let rates = rates_of(spreads.tensor());
            let lists = spreads.lists();
            keep.clear();
            rate.clear();
            for (i, &scale) in spreads.scales().iter().enumerate() {
                for &row in lists.get(i) {
                    let block = rates(row);
                    // A vector that stands for several skipped ones also shrinks for them.
                    keep.push((1.0 - scale * block.shrink).max(0.0));
                    rate.push(-scale * block.rate);
                }
            }
            worker.blend_rows(0, spreads, keep, rate);
        }
    });
    // Whole tensors are used in every example.
    let whole = |tensor: TensorId| rates_of(tensor)(0);
    if step.writes_sums {
        #[allow(clippy::cast_precision_loss, reason = "a few examples")]
        for sum in gradient.sums() {
            let block = whole(sum.tensor);
            let keep = (1.0 - block.shrink * sum.n_examples as Real).max(0.0);
            worker.blend_whole(0, sum, keep, -block.rate);
        }
    }
    for outer in gradient.outers() {
        worker.add_outer(0, outer, -whole(outer.tensor).rate);
    }
    for cells in gradient.cells() {
        worker.add_cells(0, cells, -whole(cells.tensor).rate);
    }
}

impl Update for Adf {
    type State = AdfState;

    fn name(&self) -> &'static str {
        "adf"
    }

    fn describe(&self) -> String {
        format!(
            "adf with step {} x {} a pass, beta {}, {} windows a pass, l2 {}{}",
            self.rate,
            self.factor,
            self.beta,
            self.windows,
            self.l2,
            in_words(self.l2_form)
        )
    }

    #[allow(clippy::cast_precision_loss, reason = "a count that is shown when it is 0")]
    fn check(&self) -> Result<()> {
        check_positive("rate", self.rate)?;
        check_factor("alpha", self.alpha)?;
        check_factor("beta", self.beta)?;
        check_setting("windows", "at least 1", self.windows as Real, self.windows > 0)?;
        check_factor("factor", self.factor)?;
        let forms = [L2Form::OnTouch, L2Form::PerWindow, L2Form::PerPass];
        check_form(self.form(), &forms, "on touch, per window or per pass for adf")?;
        check_l2(self.l2)
    }

    fn needs_frequencies(&self) -> bool {
        true
    }

    fn start(&self, training: &Training<'_>) -> AdfState {
        let frequencies = training.frequencies.as_ref().expect("the trainer counts on request");
        let (class_of, classes) = classify(frequencies, training.n_examples);
        AdfState {
            n_examples: training.n_examples as u64,
            class_of,
            layout: training.layout.clone(),
            classes,
            rates: Vec::new(),
            first_window: 0,
        }
    }

    fn window_end(&self, state: &AdfState, ticket: u64) -> u64 {
        match self.form() {
            L2Form::PerWindow => {
                let window = self.window(ticket, state.n_examples);
                self.window_start(window + 1, state.n_examples)
            }
            _ => u64::MAX,
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn between(&self, state: &mut AdfState, window: &Window, weights: &mut SharedWeights) {
        let end = window.first_ticket + window.n_examples as u64;
        let first = self.window(window.first_ticket, state.n_examples);
        let last = self.window(end.saturating_sub(1).max(window.first_ticket), state.n_examples);
        state.first_window = first;
        state.rates.clear();
        for window in first..=last {
            state.rates.extend(state.classes.iter().map(|class| self.rate(class, window)));
        }
        let share = self.share_put_off(window.first_ticket, state.n_examples);
        let shrink = (f64::from(self.l2) * share) as Real;
        if shrink > 0.0 {
            let rates = state.rates(first);
            let rate_of = |block: usize| rates[usize::from(state.class_of[block])].rate;
            shrink_blocks(&state.layout, weights, |block| rate_of(block) * shrink);
        }
    }

    fn apply(&self, state: &AdfState, step: &Step, gradient: &Gradient, worker: &mut Worker<'_>) {
        let rates = state.rates(self.window(step.ticket, state.n_examples));
        apply_rates(step, gradient, worker, |tensor| {
            let classes = state.classes_of(tensor);
            move |row| rates[usize::from(classes[row as usize])]
        });
    }
}
