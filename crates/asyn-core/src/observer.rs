//! What the trainer tells, and to whom.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::Real;
use crate::instruments::RaceReport;
use crate::shared::SharedWeights;
use crate::simulate::SimulationReport;

/// What happened in one pass, summed over all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct PassReport {
    /// The pass, counted from 1.
    pub pass: u32,
    /// The loss summed over the examples of the pass, each at the weights it was computed with.
    pub loss: f64,
    /// The number of examples.
    pub examples: u64,
    /// The number of steps, each one gradient and one write.
    pub steps: u64,
    /// The time spent training in this pass, or since it was resumed. Evaluation is outside.
    pub train_time: Duration,
    /// The time spent training since the run began.
    pub total_train_time: Duration,
    /// The time spent in observers, which is where evaluation happens, since the run began
    /// or was resumed.
    pub total_observe_time: Duration,
    /// The share by which sums that the update rule keeps of weights differed from the weights at
    /// the end of the pass; `None` if it keeps none.
    pub lost_mass: Option<f64>,
    /// What the instruments saw in this pass, or since it was resumed; `None` if they are off.
    pub races: Option<RaceReport>,
    /// What was counted in this pass, or since it was resumed; `None` if it is not simulated.
    pub simulation: Option<SimulationReport>,
}

/// What the trainer tells an [`Observer`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'e, 'r> {
    /// A segment of a pass ended; the run goes on with the next one.
    Progress {
        /// The pass, counted from 1.
        pass: u32,
        /// How many examples of the pass are done.
        done: usize,
        /// How many examples the pass has.
        total: usize,
        /// The weights, which are quiet now.
        quiet: &'e mut Quiet<'r>,
    },
    /// A pass ended.
    PassEnded {
        /// What happened in it.
        report: &'e PassReport,
        /// The weights, which are quiet now.
        quiet: &'e mut Quiet<'r>,
    },
}

/// The state of a run while no worker is running.
pub struct Quiet<'r> {
    pub(crate) source: &'r dyn Source,
    pub(crate) readout: &'r mut Option<SharedWeights>,
    pub(crate) is_fresh: bool,
}

/// What [`Quiet`] asks of the trainer.
pub(crate) trait Source {
    fn len(&self) -> usize;
    fn readout(&self, out: &mut SharedWeights);
    fn checkpoint(&self) -> Checkpoint;
}

impl std::fmt::Debug for Quiet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quiet").field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}

impl Quiet<'_> {
    /// Returns the weights as the update rule means them: scaled and averaged.
    ///
    /// Computed at the first call, into memory that is reused from pass to pass.
    pub fn weights(&mut self) -> &SharedWeights {
        let out = self.readout.get_or_insert_with(|| SharedWeights::zeroed(self.source.len()));
        if !self.is_fresh {
            self.source.readout(out);
            self.is_fresh = true;
        }
        out
    }

    /// Copies everything that the run needs to go on later.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.source.checkpoint()
    }
}

/// Listens to a run, and may end it.
///
/// Called between segments by the thread that called the trainer. The time spent
/// here is counted apart from the time spent training.
///
/// A function is an observer. This one ends the run when a pass no longer lowers the loss much:
///
/// ```
/// use std::ops::ControlFlow;
///
/// use asyn_core::{Event, Model, Trainer};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let mut last = f64::INFINITY;
/// let mut until_flat = |event: Event<'_, '_>| {
///     let Event::PassEnded { report, .. } = event else { return ControlFlow::Continue(()) };
///     let is_flat = report.loss > 0.99 * last;
///     last = report.loss;
///     if is_flat { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// };
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(100, 40, 1));
/// let mut weights = model.initial_weights(1);
/// let trainer = Trainer::builder().passes(100).build()?;
/// let outcome = trainer.fit(&model, &clicks, &mut weights, &mut until_flat)?;
/// assert!(outcome.stopped && outcome.passes.len() < 100);
/// # Ok::<(), asyn_core::Error>(())
/// ```
pub trait Observer {
    /// Takes note of an event; `Break` ends the run.
    fn event(&mut self, event: Event<'_, '_>) -> ControlFlow<()>;
}

/// A function of an event is an observer.
impl<F: FnMut(Event<'_, '_>) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: Event<'_, '_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Listens to nothing.
impl Observer for () {
    fn event(&mut self, _event: Event<'_, '_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Everything that a run needs to go on later, apart from model, examples and settings.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use asyn_core::{Event, Model, Trainer};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(100, 40, 1));
/// let trainer = Trainer::builder().passes(4).build()?;
///
/// let mut kept = None;
/// let mut two_passes = |event: Event<'_, '_>| match event {
///     Event::PassEnded { report, quiet } if report.pass == 2 => {
///         kept = Some(quiet.checkpoint());
///         ControlFlow::Break(())
///     }
///     _ => ControlFlow::Continue(()),
/// };
/// let mut weights = model.initial_weights(1);
/// trainer.fit(&model, &clicks, &mut weights, &mut two_passes)?;
///
/// let checkpoint = kept.expect("the second pass ended");
/// let outcome = trainer.resume(&model, &clicks, &mut weights, &checkpoint, &mut ())?;
/// assert_eq!(outcome.passes.len(), 2);
///
/// let mut through = model.initial_weights(1);
/// trainer.fit(&model, &clicks, &mut through, &mut ())?;
/// assert_eq!(weights.to_vec(), through.to_vec());
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The pass that runs next or goes on, counted from 0.
    pub pass: u32,
    /// How many examples of that pass are done.
    pub done: usize,
    /// The loss of these, their number, and the steps they took.
    pub partial: (f64, u64, u64),
    /// The numbers of the update rule.
    pub scalars: Vec<f64>,
    /// The weights as stored, then the tables of the update rule.
    pub tables: Vec<Vec<Real>>,
    /// The time spent training so far.
    pub train_time: Duration,
}
