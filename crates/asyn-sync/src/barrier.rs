//! A barrier for workers that meet every few microseconds.
//!
//! It opens each time all workers have come. It breaks for good when one leaves, by a panic
//! or because the work is done: whoever waits then is told, so nobody hangs.

use crate::primitive::{AtomicU64, Condvar, Mutex, Ordering, pause};

/// How often a worker looks whether the barrier opened before it sleeps: for about 50 µs. A
/// model checker tries all interleavings anyway.
const LOOKS: u32 = if cfg!(asyn_loom) { 0 } else { 200 };

/// The phase of a barrier that a worker has left.
const BROKEN: u64 = u64::MAX;

/// The barrier of `k` workers.
#[derive(Debug)]
pub(crate) struct Barrier {
    workers: usize,
    /// How many workers wait.
    arrived: Mutex<usize>,
    /// How often the barrier opened, or [`BROKEN`]. Changes under the lock.
    phase: AtomicU64,
    changed: Condvar,
}

/// A worker's membership; breaks the barrier when dropped.
#[derive(Debug)]
pub(crate) struct Member<'b> {
    barrier: &'b Barrier,
}

impl Barrier {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, arrived: Mutex::new(0), phase: AtomicU64::new(0), changed: Condvar::new() }
    }

    /// Returns the membership of one worker; each takes its own, once.
    pub(crate) fn member(&self) -> Member<'_> {
        Member { barrier: self }
    }
}

impl Member<'_> {
    /// Waits until all workers have come; false if one has left.
    ///
    /// What any worker did before it came is visible to all when they go on.
    pub(crate) fn wait(&self) -> bool {
        let barrier = self.barrier;
        let mut arrived = barrier.arrived.lock();
        let phase = barrier.phase.load(Ordering::Relaxed);
        if phase == BROKEN {
            return false;
        }
        *arrived += 1;
        if *arrived == barrier.workers {
            *arrived = 0;
            barrier.phase.store(phase + 1, Ordering::Release);
            drop(arrived);
            barrier.changed.notify_all();
            return true;
        }
        drop(arrived);
        // The others are a few microseconds away: to sleep and be woken takes ten times that.
        for _ in 0..LOOKS {
            if barrier.phase.load(Ordering::Acquire) != phase {
                break;
            }
            pause();
        }
        let mut now = barrier.phase.load(Ordering::Acquire);
        if now == phase {
            let mut arrived = barrier.arrived.lock();
            loop {
                now = barrier.phase.load(Ordering::Acquire);
                if now != phase {
                    break;
                }
                arrived = barrier.changed.wait(arrived);
            }
        }
        now != BROKEN
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let arrived = self.barrier.arrived.lock();
        self.barrier.phase.store(BROKEN, Ordering::Release);
        drop(arrived);
        self.barrier.changed.notify_all();
    }
}

#[cfg(all(test, not(asyn_loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn nobody_passes_before_all_have_come() {
        let (barrier, came) = (Barrier::new(3), AtomicUsize::new(0));
        // Made before any worker ends, since an end breaks the barrier.
        let members = [barrier.member(), barrier.member(), barrier.member()];
        std::thread::scope(|scope| {
            for member in &members {
                scope.spawn(|| {
                    for round in 1..=100 {
                        came.fetch_add(1, Ordering::Relaxed);
                        assert!(member.wait());
                        assert!(came.load(Ordering::Relaxed) >= 3 * round);
                        assert!(member.wait());
                    }
                });
            }
        });
    }
}

#[cfg(all(test, asyn_loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    use super::*;

    #[test]
    fn every_interleaving_shows_what_was_done_before() {
        loom::model(|| {
            // A cell that loom watches: it fails if the two accesses are not ordered.
            let shared = Arc::new((Barrier::new(2), UnsafeCell::new(0)));
            let other = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    let member = shared.0.member();
                    assert!(member.wait());
                    // The other may leave as soon as it has come a second time.
                    shared.1.with(|_| ());
                    member.wait();
                })
            };
            {
                let member = shared.0.member();
                shared.1.with_mut(|_| ());
                assert!(member.wait());
                member.wait();
            }
            shared.1.with(|_| ());
            other.join().expect("the other worker ends");
        });
    }

    #[test]
    fn whoever_waits_is_told_that_a_worker_left() {
        loom::model(|| {
            let barrier = Arc::new(Barrier::new(2));
            let other = {
                let barrier = Arc::clone(&barrier);
                loom::thread::spawn(move || assert!(!barrier.member().wait()))
            };
            drop(barrier.member());
            other.join().expect("the other worker ends");
        });
    }
}
