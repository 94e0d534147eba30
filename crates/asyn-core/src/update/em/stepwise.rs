//! Stepwise EM in its sparse form.
//!
//! With expected counts `s` of the examples of step `k` = 0, 1, …, the counts that are meant move by
//! (Liang and Klein, "Online EM for Unsupervised Models", NAACL 2009)
//!
//! ```text
//! μ ← (1 − η_k) μ + η_k s
//! ```
//!
//! with step sizes `η_k` that fall ([`StepSizes`]).
//!
//! Shrinking every count in every step is avoided by storing `S = G μ` with the growth
//! `G = 1 / Π_{j<k} (1 − η_j)`: a step adds `η_k G_{k+1} s` to what it touches, and probabilities,
//! which are quotients, do not see `G`. It is a function of the step's number alone, so the factors
//! are tabulated before a segment. `G` passes any range after some thousand steps; between segments
//! it is divided by a power of two, and so are all counts, which is exact. A segment ends before `G`
//! has grown by 2⁴⁰.
//!
//! # Scale
//!
//! `s` is a sum over the `m` examples of a step. What is read in and out are counts of all `n`
//! examples, `n / m` times as many, so that weights mean the same before, after and whatever `m`.

use super::{Multinomials, sum_up};
use crate::Real;
use crate::error::Result;
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::shared::SharedWeights;
use crate::update::{Step, Training, Update, Window, add, check_setting};
use crate::worker::Worker;

/// `a` and `h` of [`StepSizes::Window`].
const WINDOW_GAIN: f64 = 16.0;
const WINDOW_START: f64 = 6.0;

/// By how much the counts may grow from one quiet point to the next.
const MOST_GROWTH: f64 = (1_u64 << 40) as f64;

/// The least count that is left of one that was not 0: its quotient by a large total is still a
/// normal number.
const LEAST_COUNT: Real = 1.0 / (1_u128 << 90) as Real;

/// The sizes `η_k` of the steps `k` = 0, 1, … of stepwise EM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepSizes {
    /// `(k + 2)^−α` with an α above 0.5 and at most 1 (Liang and Klein 2009). Counts are means over
    /// few examples for long, and their noise leads out of poor optima.
    Power(Real),
    /// `a / (k + a + h N)` for `N` steps a pass, with `a` = 16 and `h` = 6. Counts are means over
    /// three eighths of a pass in the beginning, and after `t` passes over `(t + 6) / 16`, whatever the
    /// number of examples of a step. For models whose optima are alike, such as IBM Model 1, this
    /// reaches a likelihood in fewer passes.
    Window,
}

/// α = 0.7 (Gimpel, Das and Smith, CoNLL 2010).
impl Default for StepSizes {
    fn default() -> Self {
        Self::Power(0.7)
    }
}

/// Stepwise EM.
///
/// ```
/// use asyn_core::{StepSizes, StepwiseEm, Trainer};
///
/// let update = StepwiseEm { sizes: StepSizes::Power(0.7), ..StepwiseEm::default() };
/// assert!(Trainer::builder().update(update).accumulate(100).build().is_ok());
/// let update = StepwiseEm { sizes: StepSizes::Power(0.5), ..StepwiseEm::default() };
/// assert!(Trainer::builder().update(update).build().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepwiseEm {
    /// How the sizes of steps fall.
    pub sizes: StepSizes,
    /// The number of the first step: above 0 where earlier training is continued.
    pub first_step: u64,
    /// The distributions whose totals are weights.
    pub multinomials: Vec<Multinomials>,
}

/// What [`StepwiseEm`] keeps during a run.
#[derive(Debug)]
pub struct StepwiseEmState {
    layout: Layout,
    /// The examples in a step over all of them.
    share: f64,
    per_step: u64,
    first_ticket: u64,
    /// The factor of each step of the window.
    factors: Vec<Real>,
    /// The number of the first step behind the window.
    next_step: u64,
    /// `G` behind the window.
    growth: f64,
    /// Whether counts are those of a step, times `G`, and no longer those of all examples.
    is_scaled: bool,
}

impl StepwiseEm {
    #[allow(clippy::cast_precision_loss, reason = "steps are far fewer than 2^53")]
    fn rate(&self, state: &StepwiseEmState, step: u64) -> f64 {
        match self.sizes {
            StepSizes::Window => {
                let steps_a_pass = 1.0 / state.share;
                WINDOW_GAIN / (step as f64 + WINDOW_GAIN + WINDOW_START * steps_a_pass)
            }
            StepSizes::Power(power) => ((step + 2) as f64).powf(-f64::from(power)),
        }
    }
}

impl Update for StepwiseEm {
    type State = StepwiseEmState;

    fn name(&self) -> &'static str {
        "stepwise-em"
    }

    fn describe(&self) -> String {
        match self.sizes {
            StepSizes::Window => "stepwise em with steps by the length of a pass".to_owned(),
            StepSizes::Power(power) => format!("stepwise em with step (k + 2)^-{power}"),
        }
    }

    fn check(&self) -> Result<()> {
        match self.sizes {
            StepSizes::Power(power) => {
                let holds = power > 0.5 && power <= 1.0;
                check_setting("power", "above 0.5 and at most 1", power, holds)
            }
            StepSizes::Window => Ok(()),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "examples are far fewer than 2^53")]
    fn start(&self, training: &Training<'_>) -> StepwiseEmState {
        StepwiseEmState {
            layout: training.layout.clone(),
            share: f64::from(training.examples_per_step) / training.n_examples as f64,
            per_step: u64::from(training.examples_per_step),
            first_ticket: 0,
            factors: Vec::new(),
            next_step: self.first_step,
            growth: 1.0,
            is_scaled: false,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "steps are far fewer than 2^53")]
    fn scalars(&self, state: &StepwiseEmState) -> Vec<f64> {
        vec![state.next_step as f64, state.growth, f64::from(u8::from(state.is_scaled))]
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a step's number")]
    fn set_scalars(&self, state: &mut StepwiseEmState, scalars: &[f64]) {
        if let [next_step, growth, is_scaled] = *scalars {
            (state.next_step, state.growth) = (next_step as u64, growth);
            state.is_scaled = is_scaled > 0.0;
        }
    }

    fn window_end(&self, state: &StepwiseEmState, ticket: u64) -> u64 {
        let mut growth = 1.0;
        let mut step = state.next_step;
        // A window as long as the longest segment that anybody asks for is long enough.
        while growth < MOST_GROWTH && step - state.next_step < 1 << 20 {
            growth /= 1.0 - self.rate(state, step);
            step += 1;
        }
        ticket.saturating_add((step - state.next_step) * state.per_step)
    }

    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn between(&self, state: &mut StepwiseEmState, window: &Window, weights: &mut SharedWeights) {
        // Invariant: a power of two, so that dividing by it is exact.
        let mut divisor = 2.0_f64.powf(state.growth.log2().floor());
        if !state.is_scaled {
            divisor = 1.0 / state.share;
            state.is_scaled = true;
        } else {
            state.growth /= divisor;
        }
        let factor = (1.0 / divisor) as Real;
        for count in weights.as_mut_slice() {
            let scaled = *count * factor;
            *count = if *count > 0.0 { scaled.max(LEAST_COUNT) } else { scaled };
        }
        sum_up(&self.multinomials, &state.layout, weights);
        state.first_ticket = window.first_ticket;
        state.factors.clear();
        for _ in 0..(window.n_examples as u64).div_ceil(state.per_step) {
            let rate = self.rate(state, state.next_step);
            state.growth /= 1.0 - rate;
            state.factors.push((rate * state.growth) as Real);
            state.next_step += 1;
        }
    }

    fn apply(
        &self,
        state: &StepwiseEmState,
        step: &Step,
        gradient: &Gradient,
        worker: &mut Worker<'_>,
    ) {
        let at = (step.ticket - state.first_ticket) / state.per_step;
        let factor = state.factors[usize::try_from(at).expect("a window fits in memory")];
        add(0, factor, step.writes_sums, gradient, worker);
    }

    fn lost_mass(&self, state: &StepwiseEmState, weights: &mut SharedWeights) -> Option<f64> {
        Some(sum_up(&self.multinomials, &state.layout, weights))
    }

    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn readout(&self, state: &StepwiseEmState, _ticket: u64, weights: &mut SharedWeights) {
        if state.is_scaled {
            let factor = (1.0 / (state.growth * state.share)) as Real;
            weights.as_mut_slice().iter_mut().for_each(|count| *count *= factor);
        }
        sum_up(&self.multinomials, &state.layout, weights);
    }
}
