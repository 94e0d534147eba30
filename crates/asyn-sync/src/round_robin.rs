//! Copy and write in a fixed order.

use asyn_core::{Lane, Model, Read, Segment, Strategy, Update, run_workers};

use crate::turn::Turn;

/// Workers compute at once, but copy and write one after the other in a fixed order.
///
/// In its turn a worker writes the gradient of its last example and copies what the next
/// one needs, so every gradient is `k − 1` updates old after the first round. Langford, Smola
/// and Zinkevich, "Slow Learners are Fast", NIPS 2009; the baseline of AsynGrad's paper.
/// Forces snapshot reads. The next example is drawn before the turn comes, so a turn is short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn read(&self, _asked: Read) -> Read {
        Read::Snapshot
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let turn = Turn::new(lanes.len());
        run_workers(segment, lanes, |stepper| {
            let seat = turn.seat(stepper.index());
            if !stepper.draw() {
                return;
            }
            {
                let _in_turn = seat.wait();
                stepper.read();
            }
            loop {
                stepper.compute();
                let more = stepper.draw();
                let _in_turn = seat.wait();
                stepper.write();
                if !more {
                    stepper.finish();
                    return;
                }
                stepper.read();
            }
        });
    }
}
