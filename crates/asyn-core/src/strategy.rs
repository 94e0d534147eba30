//! How workers share the weights.
//!
//! A strategy runs one segment of a pass with the lanes it is given. Order, seeds,
//! clocks, evaluation and stopping belong to the trainer, so comparisons between
//! strategies are fair. The strategies that coordinate workers live in `asyn-sync`.

use std::panic::resume_unwind;
use std::thread;

use crate::model::Model;
use crate::segment::{Lane, Segment, Stepper};
use crate::simulate::{Simulation, SimulationReport};
use crate::update::Update;
use crate::worker::Read;

/// A way of sharing one weight vector between workers.
pub trait Strategy {
    /// Returns the name, as the command line spells it.
    fn name(&self) -> &'static str;

    /// Returns how many workers the strategy uses when `asked` are wanted.
    fn workers(&self, asked: usize) -> usize {
        asked
    }

    /// Returns how workers read when `asked` is wanted.
    fn read(&self, asked: Read) -> Read {
        asked
    }

    /// Returns what was counted in all segments so far, for a strategy that is simulated. The
    /// trainer then counts its virtual time as training time, instead of real time.
    fn simulation(&self) -> Option<SimulationReport> {
        None
    }

    /// Runs a segment with one worker a lane. Every example of the segment is drawn
    /// exactly once.
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker, after all workers have ended.
    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    );
}

impl<S: Strategy> Strategy for &S {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn workers(&self, asked: usize) -> usize {
        (**self).workers(asked)
    }

    fn read(&self, asked: Read) -> Read {
        (**self).read(asked)
    }

    fn simulation(&self) -> Option<SimulationReport> {
        (**self).simulation()
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        (**self).run(segment, lanes);
    }
}

/// One worker, on the calling thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Serial;

impl Strategy for Serial {
    fn name(&self) -> &'static str {
        "serial"
    }

    fn workers(&self, _asked: usize) -> usize {
        1
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let n_lanes = lanes.len().min(1);
        run_workers(segment, &mut lanes[..n_lanes], |stepper| stepper.run());
    }
}

/// Every worker reads and writes the live weights, with no lock and in no order: AsynGrad.
///
/// Sun, "Asynchronous Parallel Learning for Neural Networks and Structured Models
/// with Dense Features", COLING 2016, algorithm 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AsynGrad;

impl Strategy for AsynGrad {
    fn name(&self) -> &'static str {
        "asyngrad"
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        run_workers(segment, lanes, |stepper| stepper.run());
    }
}

/// Runs `work` for every lane, the first on the calling thread and the others on
/// threads of their own.
///
/// # Panics
///
/// Propagates the first panic of a worker, after all workers have ended. A worker
/// that panics stops the segment, so that the others draw no more.
pub fn run_workers<'s, M: Model, U: Update>(
    segment: &'s Segment<'s, M, U>,
    lanes: &'s mut [Lane<M::Workspace>],
    work: impl Fn(&mut Stepper<'_, M, U>) + Sync,
) {
    let simulation = Simulation::current();
    let work = |index: usize, lane: &mut Lane<M::Workspace>| {
        let _seat = simulation.join(index);
        let _guard = segment.stop_on_panic();
        work(&mut Stepper::new(segment, index, lane));
    };
    let Some((first, others)) = lanes.split_first_mut() else {
        return;
    };
    thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = others
            .iter_mut()
            .enumerate()
            .map(|(index, lane)| scope.spawn(move || work(index + 1, lane)))
            .collect();
        work(0, first);
        for handle in handles {
            if let Err(panic) = handle.join() {
                resume_unwind(panic);
            }
        }
    });
}
