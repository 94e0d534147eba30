//! Instruments that see what races do to a run.
//!
//! | Report        | Kind  | Measures                                  | Over-counts                 | Under-counts                            |
//! | ------------- | ----- | ----------------------------------------- | --------------------------- | --------------------------------------- |
//! | [`Staleness`] | stale | updates by others between a step's read and the end of its write | updates that touch other blocks | nothing |
//! | [`Overwrites`] | torn; written at once | steps that met writes of others on a block | other elements of the block, the same value | steps that are not sampled |
//! | [`Changes`]   | torn  | weights that changed between first read and end of the gradient | changes after the last use | changes before the first use |
//! | [`Probe`]     | torn  | the effect on the gradient: the racy one beside one on a copy | tearing of the copy itself | steps that are not sampled, and what was stale before the step |
//! | [`Exchanges`] | lost  | weights of sampled steps that are stored over another worker's store | the longer time between load and store | steps that are not sampled |
//! | [`Mass`]      | lost  | what was written and is not there in the end | nothing beyond a stated tolerance | losses that cancel, rows that are not sampled, large matrices |
//!
//! Staleness tells how old the weights were at which a gradient was computed; a probe tells
//! how wrong the gradient is because its weights changed *while* it was computed; the mass tells
//! what was lost on writing. The three kinds of error are reported apart.
//!
//! The instruments change no weight: one worker computes the same bits with and without them.
//! Off, they cost a branch an act of a step, and nothing a read.

mod balance;
mod gauge;
mod overlap;
mod probe;
mod reread;
mod shadow;
mod versions;

use std::num::NonZeroU32;

pub use balance::Mass;
pub(crate) use balance::{Balance, Ledger, Sample};
pub(crate) use gauge::{Counters, Gauge};
use overlap::Overlap;
pub use overlap::Staleness;
pub use probe::{Probe, Quantiles, Sketch};
pub use reread::Changes;
pub use shadow::Exchanges;
pub(crate) use shadow::Shadow;
pub use versions::Overwrites;
pub(crate) use versions::{Announcer, Versions};

/// Which instruments are on; none by default.
///
/// ```
/// use asyn_core::{AsynGrad, Instruments, Model, Trainer};
/// use asyn_testing::{Logistic, separable_clicks};
///
/// let (model, clicks) = (Logistic::new(40), separable_clicks(600, 40, 1));
/// let builder = Trainer::builder().strategy(AsynGrad).threads(2).passes(1);
/// let trainer = builder.instruments(Instruments::default_set()).build()?;
/// let mut weights = model.initial_weights(1);
/// let outcome = trainer.fit(&model, &clicks, &mut weights, &mut ())?;
///
/// let races = outcome.passes[0].races.as_ref().expect("instruments are on").total();
/// assert_eq!(races.staleness.steps(), 600);
/// assert!(races.staleness.rate() <= 1.0);
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Instruments {
    /// Counts the updates that overlap each step.
    pub overlap: bool,
    /// Computes the gradient again, on a copy, in one of so many steps. Which ones is a
    /// function of the seed and the ticket, so it does not depend on timing.
    pub paired: Option<NonZeroU32>,
    /// Balances what is written to one in so many rows, rounded up to a power of two. Which rows
    /// is a function of the seed.
    pub balance: Option<NonZeroU32>,
    /// With a balance of rows, balances what is written to whole tensors of up to 4096 floats too.
    pub balance_whole: bool,
    /// Counts writes to each block, and in the steps that `paired` chooses compares the counts.
    pub versions: bool,
    /// Reads the touched blocks again at the end of the gradient, in the steps that `paired`
    /// chooses.
    pub reread: bool,
    /// Writes by compare and swap in the steps that `paired` chooses, and counts what they
    /// overwrite.
    pub shadow: bool,
}

impl Instruments {
    /// Returns the set for runs that are about training: overlap, one probe in 256 steps, and the
    /// balance of one row in 4096. What it costs stands in `docs/microscope.md`.
    #[must_use]
    pub fn default_set() -> Self {
        Self {
            overlap: true,
            paired: NonZeroU32::new(256),
            balance: NonZeroU32::new(4096),
            ..Self::default()
        }
    }

    /// Returns all instruments, for runs that are about measuring: one probe in 16 steps,
    /// and the balance of one row in 8.
    #[must_use]
    pub fn full() -> Self {
        Self {
            overlap: true,
            paired: NonZeroU32::new(16),
            balance: NonZeroU32::new(8),
            balance_whole: true,
            versions: true,
            reread: true,
            shadow: true,
        }
    }

    /// Returns true if no instrument is on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// What the instruments saw in one pass, or since it was resumed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RaceReport {
    /// What each worker saw, by its number.
    pub workers: Vec<Races>,
    /// What all workers together wrote to the watched blocks, and what of it was lost: which of
    /// them lost it cannot be told.
    pub mass: Mass,
}

impl RaceReport {
    /// Returns what all workers saw.
    #[must_use]
    pub fn total(&self) -> Races {
        let mut total = Races::default();
        self.workers.iter().for_each(|worker| total.add(worker));
        total
    }
}

/// What one worker saw, or several.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Races {
    /// The staleness of its steps; empty if overlap is not counted.
    pub staleness: Staleness,
    /// Its probes, in the order in which they were made.
    pub probes: Vec<Probe>,
    /// The sum of all probes' gradients and errors, for [`Races::bias`].
    pub sketch: Sketch,
    /// How many sampled steps met writes of others on a block; empty if writes are not counted.
    pub overwrites: Overwrites,
    /// What changed under the gradients of sampled steps; empty if nothing is read again.
    pub changes: Changes,
    /// What sampled steps stored over; empty if they write as others do.
    pub exchanges: Exchanges,
}

impl Races {
    /// Adds what another worker saw, or the same one in another segment.
    pub fn add(&mut self, other: &Self) {
        self.staleness.add(&other.staleness);
        self.probes.extend_from_slice(&other.probes);
        self.sketch.add(&other.sketch);
        self.overwrites.add(&other.overwrites);
        self.changes.add(&other.changes);
        self.exchanges.add(&other.exchanges);
    }

    /// Returns the share of probed gradients that differ in any bit, from 0 to 1; 0 without a
    /// probe.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn wrong_rate(&self) -> f64 {
        let wrong = self.probes.iter().filter(|probe| probe.is_wrong()).count();
        wrong as f64 / self.probes.len().max(1) as f64
    }

    /// Returns the quantiles of `‖s − g‖ / ‖g‖` over all probes, or over those that are wrong.
    #[must_use]
    pub fn relative_error(&self, only_wrong: bool) -> Quantiles {
        let probes = self.probes.iter().filter(|probe| !only_wrong || probe.is_wrong());
        Quantiles::of(probes.map(|probe| probe.relative_error).collect())
    }

    /// Returns the mean cosine of `s` and `g` over all probes; 1 without a probe.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn cosine(&self) -> f64 {
        let lacking: f64 = self.probes.iter().map(|probe| 1.0 - probe.cosine).sum();
        1.0 - lacking / self.probes.len().max(1) as f64
    }

    /// Returns the mean over probes of `(g − s)ᵀ (w − w*)`, or `None` without a known optimum.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn projection(&self) -> Option<f64> {
        let sum: Option<f64> = self.probes.iter().map(|probe| probe.projection).sum();
        sum.filter(|_| !self.probes.is_empty()).map(|sum| sum / self.probes.len() as f64)
    }

    /// Estimates `‖mean(s − g)‖ / ‖mean g‖`, the systematic part of the error.
    ///
    /// Of few probes, or of probes over which the weights moved far, it says little: 64 are a
    /// minimum.
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.sketch.bias()
    }
}
