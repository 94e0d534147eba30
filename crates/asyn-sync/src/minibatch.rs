//! Synchronous mini-batches.

use std::sync::OnceLock;

use asyn_core::{Lane, Model, Segment, Stepper, Strategy, Update};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// All workers compute a gradient at the same weights; then one thread writes all of
/// them, in the order of the workers.
///
/// With `k` workers and `b` examples accumulated, a mini-batch has `k b` examples. The result
/// does not depend on timing.
#[derive(Debug, Default)]
pub struct Minibatch {
    pool: OnceLock<ThreadPool>,
}

impl Minibatch {
    fn pool(&self, workers: usize) -> &ThreadPool {
        self.pool.get_or_init(|| {
            ThreadPoolBuilder::new()
                .num_threads(workers)
                .build()
                .expect("the system can start as many threads as workers were asked for")
        })
    }
}

impl Strategy for Minibatch {
    fn name(&self) -> &'static str {
        "minibatch"
    }

    fn run<M: Model, U: Update>(
        &self,
        segment: &Segment<'_, M, U>,
        lanes: &mut [Lane<M::Workspace>],
    ) {
        let pool = self.pool(lanes.len());
        let mut steppers: Vec<_> = lanes
            .iter_mut()
            .enumerate()
            .map(|(index, lane)| Stepper::new(segment, index, lane))
            .collect();
        loop {
            // Drawn by one thread, so that the same worker always gets the same examples.
            let mut busy: Vec<_> = Vec::with_capacity(steppers.len());
            for stepper in &mut steppers {
                if stepper.draw() {
                    busy.push(stepper);
                }
            }
            let compute = |stepper: &mut Stepper<'_, M, U>| {
                stepper.read();
                stepper.compute();
            };
            match &mut *busy {
                [] => break,
                [only] => compute(only),
                several => pool.install(|| several.par_iter_mut().for_each(|s| compute(s))),
            }
            busy.iter_mut().for_each(|stepper| stepper.write());
        }
        steppers.iter_mut().for_each(Stepper::finish);
    }
}
