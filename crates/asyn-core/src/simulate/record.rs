//! The order in which the workers of a run on real threads began what they did, and doing it
//! again in that order.
//!
//! [`Recorded`] notes every act as it begins; [`Replayed`] does the same acts in the same order,
//! each as a whole, on the calling thread. What two acts did to each other while both were under
//! way is not reproduced.

use std::cell::RefCell;
use std::sync::Arc;
use std::vec::IntoIter;

use parking_lot::Mutex;

use crate::model::Model;
use crate::segment::{Lane, Segment, Stepper};
use crate::strategy::Strategy;
use crate::update::Update;
use crate::worker::Read;

thread_local! {
    /// Where workers that are started from this thread note their acts.
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
    /// Where this worker does, and its number.
    static PLACE: RefCell<Option<(Recorder, usize)>> = const { RefCell::new(None) };
}

/// What a worker does as a whole when a run is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Starts the segment.
    Start,
    /// Draws the examples of a step.
    Draw,
    /// Reads the weights and computes the gradient.
    Read,
    /// Writes the gradient.
    Write,
    /// Writes what is still held back when there is nothing more to draw.
    Finish,
}

/// The acts of a segment in the order in which they began, each after the number of its worker.
pub type Acts = Vec<(usize, Act)>;

/// Where the workers of a segment note their acts.
pub(super) type Recorder = Arc<Mutex<Acts>>;

/// Another strategy, on real threads, whose acts are noted.
///
/// Works for strategies that run their workers by [`run_workers`](crate::run_workers).
#[derive(Debug)]
pub struct Recorded<S> {
    inner: S,
    segments: Mutex<Vec<Acts>>,
}

/// What [`Recorded`] noted of another strategy, done again.
///
/// The same acts give the same weights, to the bit.
#[derive(Debug)]
pub struct Replayed<S> {
    inner: S,
    state: Mutex<Replay>,
}

#[derive(Debug)]
struct Replay {
    segments: IntoIter<Acts>,
    has_strayed: bool,
}

impl<S> Recorded<S> {
    /// Records `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, segments: Mutex::default() }
    }

    /// Returns the acts of each segment.
    pub fn into_acts(self) -> Vec<Acts> {
        self.segments.into_inner()
    }
}

impl<S> Replayed<S> {
    /// Replays `segments`, which have to be of a run of `inner` with the same model, examples and
    /// settings.
    pub fn new(inner: S, segments: Vec<Acts>) -> Self {
        let replay = Replay { segments: segments.into_iter(), has_strayed: false };
        Self { inner, state: Mutex::new(replay) }
    }

    /// Returns whether the acts turned out to be those of another run.
    pub fn has_strayed(&self) -> bool {
        let state = self.state.lock();
        state.has_strayed || state.segments.len() > 0
    }
}

impl<S: Strategy> Strategy for Recorded<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn workers(&self, asked: usize) -> usize {
        self.inner.workers(asked)
    }

    fn read(&self, asked: Read) -> Read {
        self.inner.read(asked)
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let recorder = Recorder::default();
        RECORDER.set(Some(Arc::clone(&recorder)));
        let installed = Installed;
        self.inner.run(segment, lanes);
        drop(installed);
        let acts = std::mem::take(&mut *recorder.lock());
        self.segments.lock().push(acts);
    }
}

impl<S: Strategy> Strategy for Replayed<S> {
    fn name(&self) -> &'static str {
        "replayed"
    }

    fn workers(&self, asked: usize) -> usize {
        self.inner.workers(asked)
    }

    fn read(&self, asked: Read) -> Read {
        self.inner.read(asked)
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let mut state = self.state.lock();
        let acts = state.segments.next().unwrap_or_default();
        let mut idle: Vec<_> = lanes.iter_mut().map(Some).collect();
        let mut steppers: Vec<Option<Stepper<'_, M, U>>> = idle.iter().map(|_| None).collect();
        for (worker, act) in acts {
            match (act, steppers.get_mut(worker)) {
                (Act::Start, Some(place @ None)) => {
                    let lane = idle[worker].take();
                    *place = lane.map(|lane| Stepper::new(segment, worker, lane));
                }
                (Act::Draw, Some(Some(stepper))) => _ = stepper.draw(),
                (Act::Read, Some(Some(stepper))) => {
                    stepper.read();
                    stepper.compute();
                }
                (Act::Write, Some(Some(stepper))) => stepper.write(),
                (Act::Finish, Some(Some(stepper))) => stepper.finish(),
                _ => state.has_strayed = true,
            }
        }
        let n_done: u64 = lanes.iter().map(|lane| lane.tally.examples).sum();
        state.has_strayed |= n_done != segment.order.len() as u64;
    }
}

/// Makes workers that this thread starts note nothing more when dropped.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        RECORDER.set(None);
    }
}

/// Returns where workers that this thread starts note their acts, if they do.
pub(super) fn installed() -> Option<Recorder> {
    RECORDER.with_borrow(Clone::clone)
}

/// Makes this thread note its acts as worker `index`, until the value is dropped.
pub(super) fn take_place(recorder: Recorder, index: usize) -> TakenPlace {
    PLACE.set(Some((recorder, index)));
    TakenPlace(())
}

/// Notes, if this run is recorded, that an act begins, and does its `first` part before another
/// worker can begin one.
pub(crate) fn in_order<T>(act: Act, first: impl FnOnce() -> T) -> T {
    PLACE.with_borrow(|place| match place {
        None => first(),
        Some((recorder, index)) => {
            let mut acts = recorder.lock();
            acts.push((*index, act));
            first()
        }
    })
}

/// Ends the notes of this thread when dropped.
#[derive(Debug)]
pub(crate) struct TakenPlace(());

impl Drop for TakenPlace {
    fn drop(&mut self) {
        PLACE.set(None);
    }
}
