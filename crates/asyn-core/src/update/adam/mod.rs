//! Adam, dense in its effect and sparse in its cost.
//!
//! With the gradient `g` of step `t`, counted from 1, and for each weight on its own
//! (Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1, with the
//! correction for the bias moved into the step size as in its section 2):
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
//! w ← w − αₜ m / (√v + ε)    αₜ = α √(1 − β₂ᵗ) / (1 − β₁ᵗ)
//! ```
//!
//! Two older rules take the same steps with other numbers, so they are forms of this one
//! ([`AdamForm`]): RMSProp (Tieleman and Hinton, "Lecture 6.5", 2012), and the descent with
//! momentum of Polyak (1964).
//!
//! ```text
//! v ← β₂ v + (1 − β₂) g²,  w ← w − α g / (√v + ε)      β₁ = 0, no correction for the bias
//! u ← β₁ u + g,            w ← w − α u                 u = m / (1 − β₁); β₂ = 1 keeps v at 0; ε = 1
//! ```
//!
//! Matrices take a step from the factors of their gradient, without a buffer for it. A row of a
//! table, such as an embedding, has a gradient only in the steps that use it, but its momentum
//! moves it in all of them. It is brought up to date before it is read: its stamp says up to
//! which step it is, and what it missed is a short sum (`missed`). One worker that does so
//! raises the stamp atomically, so that no two workers catch up on the same steps.
//!
//! # Under races
//!
//! A step computes both moments in registers and uses those. `|m| / √v` has a bound that depends on
//! β₁ and β₂ alone, and for β₁ = β₂ it means that no weight moves further than α. Where an `m` and
//! a `v` of different moments meet, the move is cut to that bound. Time is the number of the step by its ticket, so no shared counter is written.

mod missed;

use missed::Decay;

use super::{Step, Training, Update, Window, check_positive, check_setting};
use crate::Real;
use crate::error::Result;
use crate::gradient::{Cells, Gradient, Spreads};
use crate::layout::{Layout, Shape};
use crate::replica::Merge;
use crate::schedule::Schedule;
use crate::shared::{AdamStep, MissedSteps, SharedWeights, Stamps};
use crate::touched::Touched;
use crate::worker::Worker;

/// Which rule [`Adam`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdamForm {
    /// Adam itself.
    #[default]
    Adam,
    /// RMSProp; β₁ is not used.
    RmsProp,
    /// Gradient descent with momentum β₁; β₂ and ε are not used. No bound holds for its steps.
    Momentum,
}

/// Whose the moments of [`Adam`] are when several workers train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moments {
    /// All workers read and write the same `m` and `v`, as they do the weights.
    #[default]
    Shared,
    /// Each worker has an `m` of its own, and all share `v`.
    Mixed,
    /// Each worker has an `m` and a `v` of its own.
    Private,
}

/// Adam, with the settings of Sun (COLING 2016, section 4.2) but for the step size, which is not
/// given there.
///
/// ```
/// use asyn_core::{Adam, AsynGrad, Schedule, Trainer};
///
/// let schedule = Schedule::Constant { rate: 3e-3 };
/// let adam = Adam { schedule, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, ..Adam::default() };
/// let trainer = Trainer::builder().strategy(AsynGrad).update(adam);
/// # let _ = trainer.build()?;
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Adam, or a rule that takes its steps with other numbers.
    pub form: AdamForm,
    /// α over time.
    pub schedule: Schedule,
    /// β₁, from 0 to below 1.
    pub beta_1: Real,
    /// β₂, from 0 to below 1 and above β₁².
    pub beta_2: Real,
    /// ε, above 0.
    pub epsilon: Real,
    /// Over how many passes the step size grows from 0 to α; 0 starts with α.
    pub warm_up: Real,
    /// The largest norm of a step's gradient, beyond which it is scaled down; infinite for none.
    pub clip: Real,
    /// Whose the moments are.
    pub moments: Moments,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            form: AdamForm::Adam,
            schedule: Schedule::Constant { rate: 1e-3 },
            beta_1: 0.95,
            beta_2: 0.95,
            epsilon: 1e-4,
            warm_up: 0.0,
            clip: Real::INFINITY,
            moments: Moments::Shared,
        }
    }
}

/// What [`Adam`] keeps during a run.
#[derive(Debug)]
pub struct AdamState {
    layout: Layout,
    n_examples: u64,
    examples_per_step: u64,
    decay: Decay,
    /// One for all workers, or one for each.
    first: Vec<Moment>,
    second: Vec<Moment>,
}

/// A table of moments, and up to which step its rows are.
#[derive(Debug)]
struct Moment {
    values: SharedWeights,
    stamps: Stamps,
}

impl Moment {
    fn new(layout: &Layout) -> Self {
        Self { values: SharedWeights::zeroed(layout.len()), stamps: Stamps::new(layout.n_blocks()) }
    }
}

impl AdamState {
    /// Returns the number of the step with this ticket, counted from 0.
    fn step(&self, ticket: u64) -> u32 {
        u32::try_from(ticket / self.examples_per_step).unwrap_or(u32::MAX - 1)
    }

    /// Returns which of the moments a worker uses.
    fn own(&self, worker: usize) -> [usize; 2] {
        [worker.min(self.first.len() - 1), worker.min(self.second.len() - 1)]
    }

    /// Returns the tables of the moments that a worker uses.
    fn tables_of(&self, worker: usize) -> [usize; 2] {
        let [first, second] = self.own(worker);
        [1 + first, 1 + self.first.len() + second]
    }

    fn stamps_of(&self, worker: usize) -> [&Stamps; 2] {
        let [first, second] = self.own(worker);
        [&self.first[first].stamps, &self.second[second].stamps]
    }

    fn all(&self) -> impl Iterator<Item = &Moment> {
        self.first.iter().chain(&self.second)
    }
}

impl Adam {
    /// Returns β₁, β₂ and ε of the form.
    fn numbers(&self) -> (Real, Real, Real) {
        match self.form {
            AdamForm::Adam => (self.beta_1, self.beta_2, self.epsilon),
            AdamForm::RmsProp => (0.0, self.beta_2, self.epsilon),
            AdamForm::Momentum => (self.beta_1, 1.0, 1.0),
        }
    }

    /// Returns the step size of a step, counted from 0, on the means that are kept: for Adam with
    /// the correction for the bias, for momentum as the sum of gradients takes it.
    fn rate(&self, state: &AdamState, step: f64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "examples are far fewer than 2^53")]
        let passes = step * state.examples_per_step as f64 / state.n_examples.max(1) as f64;
        let warm = match f64::from(self.warm_up) {
            warm_up if passes < warm_up => {
                #[allow(clippy::cast_precision_loss, reason = "examples are far fewer than 2^53")]
                let one = state.examples_per_step as f64 / state.n_examples.max(1) as f64;
                (passes + one) / (warm_up + one)
            }
            _ => 1.0,
        };
        let [first, second] = [self.beta_1, self.beta_2].map(f64::from);
        let correction = match self.form {
            AdamForm::Adam => {
                (1.0 - second.powf(step + 1.0)).sqrt() / (1.0 - first.powf(step + 1.0))
            }
            AdamForm::RmsProp => 1.0,
            AdamForm::Momentum => 1.0 / (1.0 - first),
        };
        f64::from(self.schedule.rate(passes)) * warm * correction
    }

    /// Returns the numbers of a step.
    #[allow(clippy::cast_possible_truncation, reason = "the kernels take f32")]
    fn step(&self, state: &AdamState, step: u32, scale: Real) -> AdamStep {
        let (beta_1, beta_2, epsilon) = self.numbers();
        AdamStep {
            rate: self.rate(state, f64::from(step)) as Real,
            beta_1,
            beta_2,
            epsilon,
            limit: self.largest_ratio(f64::from(step) + 1.0) as Real,
            scale,
        }
    }

    /// Returns the largest `|m| / √v` after so many steps: by the inequality of Cauchy and Schwarz
    /// on the sums of gradients that `m` and `v` are. It is infinite for momentum.
    fn largest_ratio(&self, steps: f64) -> f64 {
        let (first, second, _) = self.numbers();
        let [first, second] = [first, second].map(f64::from);
        let ratio = first * first / second.max(1e-30);
        let sum = (1.0 - ratio.powf(steps)) / (1.0 - ratio);
        (1.0 - first) * (sum / (1.0 - second)).sqrt()
    }

    /// Brings a row of the tables of moments and weights from its stamps to `now`.
    fn bring_up(
        &self,
        state: &AdamState,
        since: [u32; 2],
        now: u32,
        terms: &mut Vec<[Real; 2]>,
        change: impl FnOnce(&MissedSteps<'_>),
    ) {
        let missed = since.map(|since| now.saturating_sub(since));
        // A stamp of 0 is that of a moment that is 0; a worker with momentum of its own may have
        // none yet where `v` has seen others.
        if since == [0, 0] || missed == [0, 0] {
            return;
        }
        terms.clear();
        if since[0] > 0 {
            state.decay.terms(since, now, |step| self.rate(state, step), terms);
        }
        let keep = state.decay.keep(missed);
        // A little above the bound, so that rounding alone cuts nothing.
        #[allow(clippy::cast_possible_truncation, reason = "the kernels take f32")]
        let limit = (1.001 * self.largest_ratio(f64::from(now))) as Real;
        let (_, _, epsilon) = self.numbers();
        change(&MissedSteps { terms, epsilon, limit, keep });
    }
}

impl Update for Adam {
    type State = AdamState;

    fn name(&self) -> &'static str {
        match self.form {
            AdamForm::Adam => "adam",
            AdamForm::RmsProp => "rmsprop",
            AdamForm::Momentum => "momentum",
        }
    }

    fn describe(&self) -> String {
        let Self { schedule, beta_1, beta_2, epsilon, .. } = self;
        let moments = match self.moments {
            Moments::Shared => "shared",
            Moments::Mixed => "own first and shared second",
            Moments::Private => "own",
        };
        let numbers = match self.form {
            AdamForm::Adam => format!("beta {beta_1} and {beta_2}, epsilon {epsilon:e}"),
            AdamForm::RmsProp => format!("beta {beta_2}, epsilon {epsilon:e}"),
            AdamForm::Momentum => format!("beta {beta_1}"),
        };
        let name = self.name();
        let mut text = format!("{name} with step {schedule}, {numbers}, {moments} moments");
        if self.warm_up > 0.0 {
            text += &format!(", warmed up for {} passes", self.warm_up);
        }
        if self.clip.is_finite() {
            text += &format!(", gradients clipped at {}", self.clip);
        }
        text
    }

    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        let in_unit = |beta: Real| (0.0..1.0).contains(&beta);
        let (first, second, _) = self.numbers();
        check_setting("beta-1", "at least 0 and below 1", self.beta_1, in_unit(self.beta_1))?;
        check_setting(
            "beta-2",
            "at least 0, below 1 and above the square of beta-1",
            self.beta_2,
            in_unit(self.beta_2) && (first == 0.0 || first * first < second),
        )?;
        check_positive("epsilon", self.epsilon)?;
        let (warm_up, clip) = (self.warm_up, self.clip);
        let is_time = warm_up >= 0.0 && warm_up.is_finite();
        check_setting("warm-up", "a number of passes from 0 on", warm_up, is_time)?;
        check_setting("clip", "above 0", clip, clip > 0.0)
    }

    fn start(&self, training: &Training<'_>) -> AdamState {
        let layout = training.layout;
        let (n_first, n_second) = match self.moments {
            Moments::Shared => (1, 1),
            Moments::Mixed => (training.n_workers, 1),
            Moments::Private => (training.n_workers, training.n_workers),
        };
        let (first, second, _) = self.numbers();
        let tables = |n: usize| (0..n.max(1)).map(|_| Moment::new(layout)).collect();
        AdamState {
            layout: layout.clone(),
            n_examples: training.n_examples as u64,
            examples_per_step: u64::from(training.examples_per_step.max(1)),
            decay: Decay::new(first, second),
            first: tables(n_first),
            second: tables(n_second),
        }
    }

    fn tables<'s>(&self, state: &'s AdamState) -> Vec<&'s SharedWeights> {
        state.all().map(|moment| &moment.values).collect()
    }

    /// A mean of gradients is no sum of what workers did, so workers with copies go on by themselves.
    fn merges(&self, state: &AdamState, table: usize) -> Merge {
        let moments = if table <= state.first.len() { &state.first } else { &state.second };
        if moments.len() == 1 { Merge::Averaged } else { Merge::Never }
    }

    fn scalars(&self, state: &AdamState) -> Vec<f64> {
        let n_blocks = state.layout.n_blocks();
        state
            .all()
            .flat_map(|moment| (0..n_blocks).map(|block| f64::from(moment.stamps.get(block))))
            .collect()
    }

    #[allow(clippy::cast_possible_truncation, reason = "they were u32 before")]
    #[allow(clippy::cast_sign_loss, reason = "they were u32 before")]
    fn set_scalars(&self, state: &mut AdamState, scalars: &[f64]) {
        let n_blocks = state.layout.n_blocks();
        let moments = state.first.iter_mut().chain(&mut state.second);
        for (moment, stamps) in moments.zip(scalars.chunks_exact(n_blocks.max(1))) {
            for (block, &stamp) in stamps.iter().enumerate() {
                moment.stamps.set(block, stamp as u32);
            }
        }
    }

    fn between(&self, _state: &mut AdamState, _window: &Window, _weights: &mut SharedWeights) {}

    fn catches_up(&self) -> bool {
        true
    }

    fn catch_up(&self, state: &AdamState, ticket: u64, touched: &Touched, worker: &mut Worker<'_>) {
        let now = state.step(ticket);
        let stamps = state.stamps_of(worker.index());
        let tables = state.tables_of(worker.index());
        let mut terms = Vec::new();
        for (tensor, rows) in touched.rows() {
            let first_block = state.layout.tensor(tensor).first_block;
            for &row in rows {
                let since = stamps.map(|stamps| stamps.raise(first_block + row as usize, now));
                self.bring_up(state, since, now, &mut terms, |missed| {
                    worker.adam_catch_up_row(tables, (tensor, row), missed);
                });
            }
        }
    }

    fn apply(&self, state: &AdamState, step: &Step, gradient: &Gradient, worker: &mut Worker<'_>) {
        let now = state.step(step.ticket);
        let stamps = state.stamps_of(worker.index());
        let tables = state.tables_of(worker.index());
        let numbers = self.step(state, now, self.scale(state, step, gradient));
        let step_rows = |spreads: &Spreads| {
            let tensor = spreads.tensor();
            let first_block = state.layout.tensor(tensor).first_block;
            spreads.each_row(|row, values, _| {
                for stamps in stamps {
                    stamps.raise(first_block + row as usize, now + 1);
                }
                worker.adam_row(tables, (tensor, row), &numbers, values);
            });
        };
        gradient.spreads().iter().for_each(step_rows);
        if step.writes_sums {
            for sum in gradient.sums() {
                worker.adam_whole(tables, sum, &numbers);
            }
        }
        for outer in gradient.outers().iter().filter(|outer| outer.n > 0) {
            worker.adam_outer(tables, outer, &numbers);
        }
        for cell in gradient.cells().iter().flat_map(Cells::iter) {
            let block = Gradient::of_cell(&state.layout, cell);
            block.spreads().iter().for_each(step_rows);
            block.sums().iter().for_each(|sum| worker.adam_whole(tables, sum, &numbers));
        }
    }

    fn readout(&self, state: &AdamState, ticket: u64, weights: &mut SharedWeights) {
        let now = state.step(ticket);
        let mut terms = Vec::new();
        let [mut first, mut second] = [const { Vec::new() }; 2];
        for worker in 0..state.first.len() {
            let stamps = state.stamps_of(worker);
            let [m, v] = state.own(worker);
            let (m, v) = (&state.first[m].values, &state.second[v].values);
            for tensor in state.layout.tensors() {
                let Shape::Rows { rows, stride, .. } = tensor.shape else { continue };
                first.resize(stride, 0.0);
                second.resize(stride, 0.0);
                for row in 0..rows {
                    let since = stamps.map(|stamps| stamps.get(tensor.first_block + row));
                    let at = tensor.start + row * stride;
                    self.bring_up(state, since, now, &mut terms, |missed| {
                        m.view(at, stride).read_into(&mut first);
                        v.view(at, stride).read_into(&mut second);
                        let moved = weights.as_mut_slice()[at..][..stride].iter_mut();
                        for ((weight, m), v) in moved.zip(&first).zip(&second) {
                            let root = v.sqrt();
                            let terms = missed.terms.iter();
                            let sum: Real =
                                terms.map(|[a, b]| a / (b * root + missed.epsilon)).sum();
                            let limit = missed.limit * (root + missed.epsilon);
                            *weight -= m.signum() * m.abs().min(limit) * sum;
                        }
                    });
                }
            }
        }
    }
}

impl Adam {
    /// Returns the factor that brings the gradient's norm to what is allowed, at most 1.
    #[allow(clippy::cast_possible_truncation, reason = "the kernels take f32")]
    fn scale(&self, state: &AdamState, step: &Step, gradient: &Gradient) -> Real {
        if self.clip.is_infinite() {
            return 1.0;
        }
        let square = |values: &[Real]| -> f64 {
            values.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
        };
        let mut total = 0.0;
        for spreads in gradient.spreads() {
            spreads.each_row(|_, values, _| total += square(values));
        }
        if step.writes_sums {
            total += gradient.sums().iter().map(|sum| square(&sum.values)).sum::<f64>();
        }
        for outer in gradient.outers().iter().filter(|outer| outer.n > 0) {
            total += outer.squared_norm(state.layout.tensor(outer.tensor).dim().0);
        }
        total += gradient.cells().iter().map(|cells| square(&cells.values)).sum::<f64>();
        (f64::from(self.clip) / total.sqrt()).min(1.0) as Real
    }
}
