//! No worker runs far ahead of the slowest.

use asyn_core::{Lane, Model, Segment, Strategy, Update, run_workers};

use crate::clocks::Clocks;

/// Workers share live weights as in `AsynGrad`, but before a step each waits until it is at
/// most `staleness` steps ahead of the slowest that still runs.
///
/// Stale synchronous parallel: Ho et al., "More Effective Distributed ML via a Stale
/// Synchronous Parallel Parameter Server", NIPS 2013, section 3. With `staleness` 0 the workers
/// go in lock step; with a large one they do as in `AsynGrad`. A worker sees all that the
/// others wrote in steps that are more than `staleness` before its own, and perhaps more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounded {
    /// How many steps a worker may be ahead of the slowest.
    pub staleness: u32,
}

impl Strategy for Bounded {
    fn name(&self) -> &'static str {
        "bounded"
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let clocks = Clocks::new(lanes.len(), self.staleness);
        run_workers(segment, lanes, |stepper| {
            let hand = clocks.hand(stepper.index());
            loop {
                hand.wait();
                if !stepper.draw() {
                    break;
                }
                stepper.read();
                stepper.compute();
                stepper.write();
                hand.tick();
            }
            stepper.finish();
        });
    }
}
