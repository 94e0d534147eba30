//! Synchronous mini-batches.

use std::sync::OnceLock;

use asyn_core::{Lane, Model, Segment, Stepper, Strategy, Update};
use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::barrier::{Barrier, Member};

/// All workers compute a gradient at the same weights; then one thread writes all of
/// them, in the order of the workers.
///
/// With `k` workers and `b` examples accumulated, a mini-batch has `k b` examples. The result
/// does not depend on timing.
#[derive(Debug, Default)]
pub struct Minibatch {
    pool: OnceLock<ThreadPool>,
}

/// One worker's loop, on cache lines of its own: it is written in every step.
#[repr(align(128))]
struct Desk<'a, M: Model, U: Update>(Mutex<Job<'a, M, U>>);

struct Job<'a, M: Model, U: Update> {
    stepper: Stepper<'a, M, U>,
    /// Whether there are examples to compute a gradient of.
    busy: bool,
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
        if let [lane] = lanes {
            Stepper::new(segment, 0, lane).run();
            return;
        }
        let barrier = Barrier::new(lanes.len());
        let desks: Vec<_> = lanes
            .iter_mut()
            .enumerate()
            .map(|(index, lane)| Stepper::new(segment, index, lane))
            .map(|stepper| Desk(Mutex::new(Job { stepper, busy: false })))
            .collect();
        self.pool(desks.len()).broadcast(|thread| {
            let member = barrier.member();
            match thread.index() {
                0 => lead(&desks, &member),
                index => follow(&desks[index], &member),
            }
        });
        desks.iter().for_each(|desk| desk.0.lock().stepper.finish());
    }
}

/// Draws for all workers, so that the same worker always gets the same examples; computes as
/// one of them, and writes for all. Ends the work by leaving the barrier.
fn lead<M: Model, U: Update>(desks: &[Desk<'_, M, U>], member: &Member<'_>) {
    loop {
        let mut any = false;
        for desk in desks {
            let job = &mut *desk.0.lock();
            job.busy = job.stepper.draw();
            any |= job.busy;
            if job.busy {
                job.stepper.catch_up();
            }
        }
        if !any || !member.wait() {
            return;
        }
        desks[0].compute();
        if !member.wait() {
            return;
        }
        for desk in desks {
            let job = &mut *desk.0.lock();
            if job.busy {
                job.stepper.write();
            }
        }
    }
}

/// Computes whenever there is something to compute.
fn follow<M: Model, U: Update>(desk: &Desk<'_, M, U>, member: &Member<'_>) {
    while member.wait() {
        desk.compute();
        if !member.wait() {
            return;
        }
    }
}

impl<M: Model, U: Update> Desk<'_, M, U> {
    fn compute(&self) {
        let job = &mut *self.0.lock();
        if job.busy {
            job.stepper.read();
            job.stepper.compute();
        }
    }
}
