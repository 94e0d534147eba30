//! Copy and write under one lock, gradient outside, in any order.

use asyn_core::{Lane, Model, Read, Segment, Strategy, Update, run_workers};

use crate::primitive::Mutex;

/// Workers copy the touched weights and write their gradient under one lock, in
/// whatever order they come; gradients are computed outside.
///
/// Gimpel, Das and Smith, "Distributed Asynchronous Online Learning for Natural Language
/// Processing", CoNLL 2010, algorithm 1. Forces snapshot reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Locked;

impl Strategy for Locked {
    fn name(&self) -> &'static str {
        "locked"
    }

    fn read(&self, _asked: Read) -> Read {
        Read::Snapshot
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let lock = Mutex::new(());
        run_workers(segment, lanes, |stepper| {
            while stepper.draw() {
                {
                    let _guard = lock.lock();
                    stepper.read();
                }
                stepper.compute();
                let _guard = lock.lock();
                stepper.write();
            }
            let _guard = lock.lock();
            stepper.finish();
        });
    }
}
