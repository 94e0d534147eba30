//! A simulator of many workers on any machine.
//!
//! The real model code runs on real threads, one at a time. Before every vector access to the
//! shared weights a worker may be made to wait for another, so a gradient can see weights that
//! change under it and an addition can be lost, as on a machine with as many cores as workers.
//! Which worker runs follows from a virtual clock that each access and each computation moves
//! on ([`CostModel`]). The same settings give the same weights, to the bit.
//!
//! The turns of a simulated run can be kept and given to another simulation, and so can what the
//! workers of a run on real threads did, act by act ([`Recorded`], [`Replayed`]).

mod lines;
mod record;
mod scheduler;

use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::segment::{Lane, Segment};
use crate::shared::SharedWeights;
use crate::strategy::Strategy;
use crate::update::Update;
use crate::worker::Read;
pub(crate) use record::in_order;
pub use record::{Act, Acts, Recorded, Replayed};
use record::{Recorder, TakenPlace};
use scheduler::{Scheduler, Seat, TakenSeat};

/// How many workers can be simulated.
pub const MOST_WORKERS: usize = 256;

/// What things cost in virtual time, in nanoseconds.
///
/// An access is one vector of the instruction set: at most one cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostModel {
    /// A load from the worker's own cache.
    pub load: f64,
    /// A store to the worker's own cache.
    pub store: f64,
    /// What an access costs more when another worker has stored to the line since this one
    /// held it, or a store when another worker holds a copy.
    pub miss: f64,
    /// The computation of a gradient, for each load that it made.
    pub compute: f64,
    /// How far a worker may run ahead of the earliest other before it hands over. What happens
    /// within the grain is not interleaved: a coarser one hides races, a finer one costs time.
    pub grain: f64,
}

/// Costs at which a dense-CRF on CoNLL-2000 takes about as long with one and with two simulated
/// workers as it took on a server processor whose two cores share a third-level cache (AMD EPYC of
/// family 26). Misses overlap there, so one costs far less than its latency.
impl Default for CostModel {
    fn default() -> Self {
        Self { load: 1.0, store: 1.0, miss: 1.5, compute: 1.8, grain: 1000.0 }
    }
}

/// A stretch of a simulated run in which one worker ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The number of the worker.
    pub worker: usize,
    /// At how many points it could have handed over, and at the last of them did: each access,
    /// computation, sleep and wait is one, and so is its end.
    pub points: u64,
}

/// What a simulation counted.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct SimulationReport {
    /// The virtual time, in seconds: of each segment, the time of its last worker.
    pub seconds: f64,
    /// Vector loads of shared weights.
    pub loads: u64,
    /// Vector stores to shared weights, and compare-and-swap operations.
    pub stores: u64,
    /// Accesses to a line that another worker had stored to, or had a copy of when stored to.
    pub misses: u64,
    /// Steps.
    pub steps: u64,
    /// Steps in which another worker stored to a line between the first load of it and the
    /// end of the gradient.
    pub overwritten_steps: u64,
    /// Stores that undid a store of another worker: it came between load and store of an
    /// addition.
    pub lost_stores: u64,
    /// How often one worker handed over to another.
    pub switches: u64,
}

/// Another strategy, on as many virtual cores as there are workers.
///
/// Works for strategies that run their workers by [`run_workers`](crate::run_workers) and wait
/// through [`wait`], if at all. One worker is the same computation as outside the
/// simulator.
///
/// ```
/// use asyn_core::simulate::{CostModel, Simulated};
/// use asyn_core::{AsynGrad, Trainer};
///
/// let simulated = Simulated::new(AsynGrad, CostModel::default())?;
/// let trainer = Trainer::builder().strategy(simulated).threads(10).build()?;
/// # let _ = trainer;
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Simulated<S> {
    inner: S,
    cost: CostModel,
    report: Mutex<SimulationReport>,
    tape: Mutex<Tape>,
}

/// What decides the turns of a simulation, and whether they are kept.
#[derive(Debug, Default)]
enum Tape {
    /// The clocks decide.
    #[default]
    Off,
    /// The clocks decide, and the turns of each segment are kept.
    Record(Vec<Vec<Turn>>),
    /// The turns of each segment are given.
    Replay { segments: IntoIter<Vec<Turn>>, has_strayed: bool },
}

impl<S> Simulated<S> {
    /// Simulates `inner`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a cost is negative or not finite.
    pub fn new(inner: S, cost: CostModel) -> Result<Self> {
        let CostModel { load, store, miss, compute, grain } = cost;
        let costs = [
            ("cost of a load", load),
            ("cost of a store", store),
            ("cost of a miss", miss),
            ("cost of computing", compute),
            ("grain of the simulation", grain),
        ];
        for (setting, value) in costs {
            if !(value.is_finite() && value >= 0.0) {
                let expected = "a finite number of nanoseconds, 0 or more";
                return Err(Error::Setting { setting, expected, actual: value.to_string() });
            }
        }
        Ok(Self { inner, cost, report: Mutex::default(), tape: Mutex::default() })
    }

    /// Keeps the turns of every segment.
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { tape: Mutex::new(Tape::Record(Vec::new())), ..self }
    }

    /// Runs the workers in these turns, one list a segment, instead of those that follow from the
    /// costs. The weights are then those of the run that was recorded, to the bit, if model,
    /// examples and settings are the same; costs need not be.
    #[must_use]
    pub fn replaying(self, segments: Vec<Vec<Turn>>) -> Self {
        let tape = Tape::Replay { segments: segments.into_iter(), has_strayed: false };
        Self { tape: Mutex::new(tape), ..self }
    }

    /// Returns the turns of each segment of a recorded run; nothing for another one.
    pub fn into_turns(self) -> Vec<Vec<Turn>> {
        match self.tape.into_inner() {
            Tape::Record(segments) => segments,
            Tape::Off | Tape::Replay { .. } => Vec::new(),
        }
    }

    /// Returns whether the turns that were given turned out to be those of another run. The
    /// clocks then decided the rest.
    pub fn has_strayed(&self) -> bool {
        match &*self.tape.lock() {
            Tape::Replay { segments, has_strayed } => *has_strayed || segments.len() > 0,
            Tape::Off | Tape::Record(_) => false,
        }
    }

    /// Returns what was counted in all segments so far.
    pub fn report(&self) -> SimulationReport {
        self.report.lock().clone()
    }
}

impl<S: Strategy> Strategy for Simulated<S> {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn workers(&self, asked: usize) -> usize {
        self.inner.workers(asked)
    }

    fn read(&self, asked: Read) -> Read {
        self.inner.read(asked)
    }

    fn simulation(&self) -> Option<SimulationReport> {
        Some(self.report())
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let mut tables = vec![segment.weights];
        tables.extend(segment.update.tables(segment.state));
        let mut tape = self.tape.lock();
        let script = match &mut *tape {
            Tape::Replay { segments, .. } => Some(segments.next().unwrap_or_default()),
            Tape::Off | Tape::Record(_) => None,
        };
        let keeps_turns = matches!(&*tape, Tape::Record(_));
        let scheduler = Scheduler::new(lanes.len(), self.cost, script, keeps_turns);
        Scheduler::install(Some(scheduler.clone()));
        let traced = Traced::new(tables);
        self.inner.run(segment, lanes);
        drop(traced);
        self.report.lock().add(&scheduler.report());
        match &mut *tape {
            Tape::Off => {}
            Tape::Record(segments) => segments.push(scheduler.take_turns()),
            Tape::Replay { has_strayed, .. } => *has_strayed |= scheduler.has_strayed(),
        }
    }
}

impl SimulationReport {
    /// Adds what was counted in another segment, or in another pass.
    pub fn add(&mut self, other: &Self) {
        let Self {
            seconds,
            loads,
            stores,
            misses,
            steps,
            overwritten_steps,
            lost_stores,
            switches,
        } = self;
        *seconds += other.seconds;
        *loads += other.loads;
        *stores += other.stores;
        *misses += other.misses;
        *steps += other.steps;
        *overwritten_steps += other.overwritten_steps;
        *lost_stores += other.lost_stores;
        *switches += other.switches;
    }

    /// Returns what was counted since an earlier report.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            seconds: self.seconds - earlier.seconds,
            loads: self.loads - earlier.loads,
            stores: self.stores - earlier.stores,
            misses: self.misses - earlier.misses,
            steps: self.steps - earlier.steps,
            overwritten_steps: self.overwritten_steps - earlier.overwritten_steps,
            lost_stores: self.lost_stores - earlier.lost_stores,
            switches: self.switches - earlier.switches,
        }
    }
}

/// Tables whose accesses are told while this exists, and a simulation for the threads that
/// are started meanwhile.
struct Traced<'a>(Vec<&'a SharedWeights>);

impl<'a> Traced<'a> {
    fn new(tables: Vec<&'a SharedWeights>) -> Self {
        tables.iter().for_each(|table| table.set_traced(true));
        Self(tables)
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|table| table.set_traced(false));
        Scheduler::install(None);
    }
}

/// A simulation or a recording in which a thread can take part.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    scheduler: Option<Arc<Scheduler>>,
    recorder: Option<Recorder>,
}

impl Simulation {
    /// Returns the simulation and the recording that this thread has started, if it has.
    pub(crate) fn current() -> Self {
        Self { scheduler: Scheduler::installed(), recorder: record::installed() }
    }

    /// Takes part as worker `index`; returns when that worker may run.
    pub(crate) fn join(&self, index: usize) -> (Option<TakenSeat>, Option<TakenPlace>) {
        let seat =
            self.scheduler.as_ref().map(|scheduler| Seat::take(Arc::clone(scheduler), index));
        let place = self.recorder.as_ref();
        (seat, place.map(|recorder| record::take_place(Arc::clone(recorder), index)))
    }
}

/// Tells the simulation, if this thread is in one, that a gradient was computed.
pub(crate) fn computed() {
    if let Some(seat) = Seat::of_thread() {
        seat.computed();
    }
}

/// Tells the simulation, if this thread is in one, that a step was written.
pub(crate) fn written() {
    if let Some(seat) = Seat::of_thread() {
        seat.written();
    }
}

/// Returns whether this thread is a simulated worker, which must block through
/// [`wait`] only.
#[must_use]
pub fn is_simulated() -> bool {
    Seat::of_thread().is_some()
}

/// Blocks a simulated worker, in virtual time, until another calls [`wake_all`] with the same
/// key, such as the address of a lock, or ends.
///
/// # Panics
///
/// If every worker waits, and outside a simulation, where nobody could wake the thread.
pub fn wait(key: usize) {
    Seat::of_thread().expect("only simulated workers wait in virtual time").wait(key);
}

/// Makes simulated workers that wait for `key` go on; nothing outside a simulation.
pub fn wake_all(key: usize) {
    if let Some(seat) = Seat::of_thread() {
        seat.wake_all(key);
    }
}

/// Lets time pass: virtual time for a simulated worker, real time otherwise.
#[allow(clippy::disallowed_methods, reason = "to let time pass is what is asked for")]
pub fn sleep(time: Duration) {
    match Seat::of_thread() {
        Some(seat) => seat.sleep(time.as_secs_f64() * 1e9),
        None => std::thread::sleep(time),
    }
}
