//! ADF as published: step sizes by what each window counts.
//!
//! Sun, Wang and Li (ACL 2012), algorithm 1. After each window of `q` examples, every block's
//! step size is multiplied by
//!
//! ```text
//! η = α − u (α − β),      u = v / q,      v = in how many of the window's examples it was used
//! ```
//!
//! and `v` starts again at 0. [`Adf`] takes the mean share of the training set for `u` instead.
//! The two differ where a block is used unevenly over time, and by chance for rare blocks. What
//! the step size of a block starts at is the same: it is divided by how often an example that uses
//! the block does so.
//!
//! Workers count without a lock, so that of two counts at once one may be lost. The end of a
//! window is a quiet point, at which one thread changes all step sizes.
//!
//! # Regularisation by windows
//!
//! L2 for the objective `Σ ℓ + λ/2 ‖w‖²` multiplies every block by `1 − γ λ q/m` at the end of
//! each window but the last one of the run, with its new step size, as the authors' toolkit does;
//! or by `1 − γ λ` at the end of each pass but the last one, with [`L2Form::PerPass`].

use super::adf::{Rate, apply_rates};
use super::l2::{check_form, shrink_blocks};
use super::{Adf, L2Form, Step, Training, Update, Window};
use crate::Real;
use crate::error::Result;
use crate::gradient::Gradient;
use crate::layout::{Layout, TensorId};
use crate::shared::SharedWeights;
use crate::touched::Touched;
use crate::worker::Worker;

/// Frequency-adaptive step sizes from counts; the settings are those of [`Adf`].
///
/// ```
/// use asyn_core::{Adf, AdfCounting, AsynGrad, Trainer};
///
/// let trainer = Trainer::builder().strategy(AsynGrad).update(AdfCounting(Adf::default()));
/// # let _ = trainer.build()?;
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AdfCounting(pub Adf);

/// What [`AdfCounting`] keeps during a run; all by number of the block.
#[derive(Debug)]
pub struct AdfCountingState {
    layout: Layout,
    n_examples: u64,
    /// The window that is running, counted from the start of the run.
    window: u64,
    rates: Vec<Real>,
    /// In how many examples of the window each block was used.
    counts: SharedWeights,
    /// The last example that used each block, counted from 1 in its window.
    last: SharedWeights,
}

impl AdfCountingState {
    fn rates_of(&self, tensor: TensorId) -> &[Real] {
        &self.rates[self.layout.tensor(tensor).first_block..]
    }
}

impl AdfCounting {
    fn form(&self) -> L2Form {
        self.0.l2_form.unwrap_or(L2Form::PerWindow)
    }

    /// Ends the running window and all before `window`, of which those between saw no example.
    #[allow(clippy::cast_possible_truncation, reason = "step sizes and weights are f32")]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn end_windows(&self, state: &mut AdfCountingState, window: u64, weights: &mut SharedWeights) {
        let adf = &self.0;
        let (alpha, beta) = (f64::from(adf.alpha), f64::from(adf.beta));
        let n_examples = state.n_examples;
        let start = |window| adf.window_start(window, n_examples);
        let q = (start(window) - start(state.window)) as f64;
        let passes = window / u64::from(adf.windows) - state.window / u64::from(adf.windows);
        let factor = f64::from(adf.factor).powf(passes as f64);
        let n_windows = (window - state.window) as f64;
        for (rate, count) in state.rates.iter_mut().zip(state.counts.as_mut_slice()) {
            let share = (f64::from(*count) / q).min(1.0);
            let eta = alpha - share * (alpha - beta);
            *rate = (f64::from(*rate) * eta.powf(n_windows) * factor) as Real;
            *count = 0.0;
        }
        state.last.as_mut_slice().fill(0.0);
        state.window = window;
        let share = match self.form() {
            L2Form::PerPass => passes as f64,
            _ => q / n_examples as f64,
        };
        let shrink = (f64::from(adf.l2) * share) as Real;
        if shrink > 0.0 {
            shrink_blocks(&state.layout, weights, |block| state.rates[block] * shrink);
        }
    }
}

impl Update for AdfCounting {
    type State = AdfCountingState;

    fn name(&self) -> &'static str {
        "adf-counting"
    }

    fn describe(&self) -> String {
        self.0.describe().replacen("adf", self.name(), 1)
    }

    fn check(&self) -> Result<()> {
        let forms = [L2Form::PerWindow, L2Form::PerPass];
        check_form(self.form(), &forms, "per window or per pass for adf-counting")?;
        self.0.check()
    }

    fn needs_frequencies(&self) -> bool {
        true
    }

    fn start(&self, training: &Training<'_>) -> AdfCountingState {
        let n_blocks = training.layout.n_blocks();
        let frequencies = training.frequencies.as_ref().expect("the trainer counts on request");
        AdfCountingState {
            layout: training.layout.clone(),
            n_examples: training.n_examples as u64,
            window: 0,
            rates: frequencies.uses_an_example().map(|uses| self.0.rate / uses).collect(),
            counts: SharedWeights::zeroed(n_blocks),
            last: SharedWeights::zeroed(n_blocks),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "windows are far fewer than 2^53")]
    fn scalars(&self, state: &AdfCountingState) -> Vec<f64> {
        let blocks = state.rates.iter().copied().chain(state.counts.to_vec());
        std::iter::once(state.window as f64).chain(blocks.map(f64::from)).collect()
    }

    #[allow(clippy::cast_possible_truncation, reason = "they were f32 before")]
    #[allow(clippy::cast_sign_loss, reason = "windows are counted from 0")]
    fn set_scalars(&self, state: &mut AdfCountingState, scalars: &[f64]) {
        let n_blocks = state.rates.len();
        state.window = scalars[0] as u64;
        let (rates, counts) = scalars[1..].split_at(n_blocks);
        let to = |out: &mut [Real], from: &[f64]| {
            out.iter_mut().zip(from).for_each(|(out, &from)| *out = from as Real);
        };
        to(&mut state.rates, rates);
        to(state.counts.as_mut_slice(), counts);
    }

    fn window_end(&self, state: &AdfCountingState, ticket: u64) -> u64 {
        let window = self.0.window(ticket, state.n_examples);
        self.0.window_start(window + 1, state.n_examples)
    }

    fn between(&self, state: &mut AdfCountingState, window: &Window, weights: &mut SharedWeights) {
        let now = self.0.window(window.first_ticket, state.n_examples);
        if now > state.window {
            self.end_windows(state, now, weights);
        }
    }

    fn counts_uses(&self) -> bool {
        true
    }

    #[allow(clippy::cast_precision_loss, reason = "in windows beyond 2^24, a few counts are lost")]
    fn count(&self, state: &AdfCountingState, ticket: u64, touched: &Touched) {
        let n_blocks = state.rates.len();
        let (counts, last) = (state.counts.view(0, n_blocks), state.last.view(0, n_blocks));
        let example = (ticket - self.0.window_start(state.window, state.n_examples) + 1) as Real;
        // A block that an example uses twice counts once.
        let count = |block: usize| {
            if last.get(block) != example {
                last.set(block, example);
                counts.set(block, counts.get(block) + 1.0);
            }
        };
        for (tensor, rows) in touched.rows() {
            let first = state.layout.tensor(tensor).first_block;
            rows.iter().for_each(|&row| count(first + row as usize));
        }
        for &tensor in touched.whole() {
            count(state.layout.tensor(tensor).first_block);
        }
    }

    fn apply(
        &self,
        state: &AdfCountingState,
        step: &Step,
        gradient: &Gradient,
        worker: &mut Worker<'_>,
    ) {
        apply_rates(step, gradient, worker, |tensor| {
            let rates = state.rates_of(tensor);
            move |row| Rate { rate: rates[row as usize], shrink: 0.0 }
        });
    }
}
