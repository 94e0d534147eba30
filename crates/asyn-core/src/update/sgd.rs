//! Stochastic gradient descent with exact L2 regularisation, optionally averaged.
//!
//! The objective is `Σᵢ ℓᵢ(w) + λ/2 ‖w‖²` over `m` examples. A step on example `i` is
//!
//! ```text
//! w ← (1 − γ λ/m) w − γ ∇ℓᵢ(w)
//! ```
//!
//! Shrinking every weight in every step is avoided by writing `w = s v`: the scale
//! `s` is a function of the ticket alone, so it is tabulated before a segment, and
//! a step only adds `−γ/s ∇ℓᵢ` to the rows it touches (Bottou, "Stochastic Gradient
//! Descent Tricks", 2012, section 5.1).
//!
//! With [`L2Form::PerPass`] the scale changes only in the last step of each pass, by `1 − γ λ`, as in
//! the plain SGD of the toolkit of Sun, Wang and Li (ACL 2012).
//!
//! # Averaging
//!
//! Averaged SGD returns the mean of all iterates from some pass on (Polyak and
//! Juditsky 1992; Bottou 2012, section 5.3). With `Sₜ` the sum of the scales of the
//! iterates before step `t`, from the start of averaging on, a change `dvₜ` is part of
//! the iterate of step `t` and of every later one, so the sum of iterates is
//! `S_T v − Σₜ Sₜ dvₜ`. A second table `u` collects `Sₜ dvₜ`; it is written only once
//! averaging has started.
//!
//! # Multiplying out
//!
//! A scale that has become small is multiplied into `v` between two segments, and starts
//! again at 1. The sum of iterates so far, `S v − u`, must not change, so at the same time
//! `u ← u − S v` and `S ← 0`.

use super::l2::{check_form, in_words};
use super::{L2Form, Step, Training, Update, Window, add, check_l2, check_setting};
use crate::Real;
use crate::error::Result;
use crate::gradient::Gradient;
use crate::schedule::Schedule;
use crate::shared::SharedWeights;
use crate::worker::Worker;

/// The scale below which the weights are multiplied out, between segments.
const LEAST_SCALE: f64 = 1e-3;

/// From when on the iterates of [`Sgd`] are averaged.
///
/// ```
/// use asyn_core::{Averaging, Schedule, Sgd, Trainer};
///
/// let averaging = Averaging::FromPass(3);
/// let update = Sgd { averaging, ..Sgd::default() };
/// assert!(Trainer::builder().update(update).passes(5).build().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Averaging {
    /// The last iterate is the result.
    #[default]
    Off,
    /// The mean of the iterates from this pass on, counted from 1, is the result.
    FromPass(u32),
}

/// Stochastic gradient descent.
///
/// ```
/// use asyn_core::{Averaging, Schedule, Sgd};
///
/// let schedule = Schedule::Exponential { rate: 0.2, factor: 0.7 };
/// let sgd = Sgd { schedule, averaging: Averaging::FromPass(3), ..Sgd::default() };
/// # let _ = sgd;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// The step sizes.
    pub schedule: Schedule,
    /// λ of the objective `Σ ℓ + λ/2 ‖w‖²`.
    pub l2: Real,
    /// Whether the iterates are averaged.
    pub averaging: Averaging,
    /// When L2 shrinks the weights: exactly if nothing else is asked for, or per pass.
    pub l2_form: Option<L2Form>,
}

/// A constant step of 0.1 with λ = 1, and no averaging.
impl Default for Sgd {
    fn default() -> Self {
        let schedule = Schedule::Constant { rate: 0.1 };
        Self { schedule, l2: 1.0, averaging: Averaging::Off, l2_form: None }
    }
}

/// What [`Sgd`] keeps during a run.
#[derive(Debug)]
pub struct SgdState {
    n_examples: u64,
    first_ticket: u64,
    /// One entry a ticket of the window, and one more for the end.
    moments: Vec<Moment>,
    /// The exact scale and its sum at the end of the window.
    scale: f64,
    scale_sum: f64,
    average: Option<SharedWeights>,
}

/// What holds at a ticket.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    rate: Real,
    scale: Real,
    /// The sum of the scales since averaging started; 0 before.
    scale_sum: Real,
}

impl SgdState {
    #[inline]
    fn moment(&self, ticket: u64) -> Moment {
        let at = usize::try_from(ticket - self.first_ticket).expect("a window fits in memory");
        self.moments[at.min(self.moments.len() - 1)]
    }

    /// Makes the scale 1, without changing the weights that are meant or their mean.
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn multiply_out(&mut self, weights: &mut SharedWeights) {
        let (scale, scale_sum) = (self.scale as Real, self.scale_sum as Real);
        let weights = weights.as_mut_slice();
        if let Some(average) = &mut self.average {
            for (u, v) in average.as_mut_slice().iter_mut().zip(&*weights) {
                *u -= scale_sum * v;
            }
        }
        weights.iter_mut().for_each(|weight| *weight *= scale);
        (self.scale, self.scale_sum) = (1.0, 0.0);
    }
}

impl Sgd {
    #[allow(clippy::cast_precision_loss, reason = "passes are few")]
    fn rate(&self, ticket: u64, n_examples: u64) -> Real {
        self.schedule.rate(ticket as f64 / n_examples as f64)
    }

    fn form(&self) -> L2Form {
        self.l2_form.unwrap_or(L2Form::Exact)
    }

    /// Returns the factor on all weights in a step.
    fn keep(&self, rate: Real, ticket: u64, n_examples: u64) -> f64 {
        let shrink = f64::from(rate) * f64::from(self.l2);
        match self.form() {
            L2Form::PerPass if (ticket + 1).is_multiple_of(n_examples) => 1.0 - shrink,
            L2Form::PerPass => 1.0,
            _ => 1.0 - shrink / n_examples as f64,
        }
    }

    fn averages(&self, ticket: u64, n_examples: u64) -> bool {
        match self.averaging {
            Averaging::Off => false,
            Averaging::FromPass(pass) => ticket >= u64::from(pass.saturating_sub(1)) * n_examples,
        }
    }
}

impl Update for Sgd {
    type State = SgdState;

    fn name(&self) -> &'static str {
        match self.averaging {
            Averaging::Off => "sgd",
            Averaging::FromPass(_) => "asgd",
        }
    }

    fn describe(&self) -> String {
        let averaging = match self.averaging {
            Averaging::Off => String::new(),
            Averaging::FromPass(pass) => format!(", averaged from pass {pass}"),
        };
        let form = in_words(self.l2_form);
        format!("{} with step {}, l2 {}{form}{averaging}", self.name(), self.schedule, self.l2)
    }

    #[allow(clippy::cast_precision_loss, reason = "a count that is shown when it is 0")]
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        if let Averaging::FromPass(pass) = self.averaging {
            check_setting("first averaged pass", "at least 1", pass as Real, pass > 0)?;
        }
        check_l2(self.l2)?;
        let forms = [L2Form::Exact, L2Form::PerPass];
        check_form(self.form(), &forms, "exact or per pass for sgd")?;
        let shrink = self.schedule.rate(0.0) * self.l2;
        let is_small = self.form() != L2Form::PerPass || shrink < 1.0;
        check_setting("step size times l2, per pass,", "below 1", shrink, is_small)
    }

    fn start(&self, training: &Training<'_>) -> SgdState {
        let average = (self.averaging != Averaging::Off)
            .then(|| SharedWeights::zeroed(training.layout.len()));
        SgdState {
            n_examples: training.n_examples as u64,
            first_ticket: 0,
            moments: vec![Moment { rate: 0.0, scale: 1.0, scale_sum: 0.0 }],
            scale: 1.0,
            scale_sum: 0.0,
            average,
        }
    }

    fn tables<'s>(&self, state: &'s SgdState) -> Vec<&'s SharedWeights> {
        state.average.iter().collect()
    }

    fn scalars(&self, state: &SgdState) -> Vec<f64> {
        vec![state.scale, state.scale_sum]
    }

    fn set_scalars(&self, state: &mut SgdState, scalars: &[f64]) {
        if let [scale, scale_sum] = *scalars {
            (state.scale, state.scale_sum) = (scale, scale_sum);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the tables are read by f32 kernels")]
    fn between(&self, state: &mut SgdState, window: &Window, weights: &mut SharedWeights) {
        let m = state.n_examples;
        let last = window.first_ticket + window.n_examples as u64;
        if state.scale < LEAST_SCALE {
            state.multiply_out(weights);
        }
        state.first_ticket = window.first_ticket;
        state.moments.clear();
        for ticket in window.first_ticket..last {
            let rate = self.rate(ticket, m);
            state.moments.push(Moment {
                rate,
                scale: state.scale as Real,
                scale_sum: state.scale_sum as Real,
            });
            state.scale *= self.keep(rate, ticket, m);
            if self.averages(ticket, m) {
                state.scale_sum += state.scale;
            }
        }
        state.moments.push(Moment {
            rate: 0.0,
            scale: state.scale as Real,
            scale_sum: state.scale_sum as Real,
        });
    }

    #[inline]
    fn prepare(&self, state: &SgdState, step: &Step, worker: &mut Worker<'_>) {
        worker.set_scale(state.moment(step.ticket).scale);
    }

    fn apply(&self, state: &SgdState, step: &Step, gradient: &Gradient, worker: &mut Worker<'_>) {
        let now = state.moment(step.ticket);
        let after = state.moment(step.ticket + u64::from(gradient.n_examples()));
        let a = -now.rate / after.scale;
        let averaged = if now.scale_sum > 0.0 { Some(a * now.scale_sum) } else { None };
        add(0, a, step.writes_sums, gradient, worker);
        if let Some(a) = averaged {
            add(1, a, step.writes_sums, gradient, worker);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn readout(&self, state: &SgdState, ticket: u64, weights: &mut SharedWeights) {
        let weights = weights.as_mut_slice();
        match &state.average {
            Some(table) if state.scale_sum > 0.0 => {
                let from = match self.averaging {
                    Averaging::FromPass(pass) => {
                        u64::from(pass.saturating_sub(1)) * state.n_examples
                    }
                    Averaging::Off => 0,
                };
                let n = (ticket - from) as f64;
                let (scale, share) = ((state.scale_sum / n) as Real, (1.0 / n) as Real);
                let mut part = [0.0; 1024];
                for (start, weights) in
                    (0..).step_by(part.len()).zip(weights.chunks_mut(part.len()))
                {
                    let part = &mut part[..weights.len()];
                    table.view(start, part.len()).read_into(part);
                    for (weight, u) in weights.iter_mut().zip(part) {
                        *weight = scale * *weight - share * *u;
                    }
                }
            }
            _ => {
                let scale = state.scale as Real;
                weights.iter_mut().for_each(|weight| *weight *= scale);
            }
        }
    }
}
