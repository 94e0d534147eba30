//! Clocks of workers, none of which may run far ahead of the slowest.
//!
//! A clock counts the steps of its worker. A worker that leaves, by a panic or because the
//! work is done, is no longer waited for, so it hangs nobody.

use std::cell::Cell;

use crate::primitive::{AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, fence, pause};

/// How often a worker looks at the clocks before it sleeps. A model checker tries all
/// interleavings anyway.
const LOOKS: u32 = if cfg!(asyn_loom) { 0 } else { 64 };

/// The time of a worker who has left.
const GONE: u64 = u64::MAX;

/// The clocks of `k` workers.
#[derive(Debug)]
pub(crate) struct Clocks {
    clocks: Vec<Clock>,
    /// How far a worker may be ahead of the slowest, in steps.
    lead: u64,
    /// How many workers sleep, or are about to.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    ticked: Condvar,
}

/// A clock, on cache lines of its own: one worker writes it in every step.
#[derive(Debug)]
#[repr(align(128))]
struct Clock(AtomicU64);

/// A worker's clock; the worker leaves when it is dropped.
#[derive(Debug)]
pub(crate) struct Hand<'c> {
    clocks: &'c Clocks,
    worker: usize,
    now: Cell<u64>,
    /// The slowest clock when it was last looked at; clocks never go back.
    slowest: Cell<u64>,
}

impl Clocks {
    pub(crate) fn new(workers: usize, lead: u32) -> Self {
        Self {
            clocks: (0..workers).map(|_| Clock(AtomicU64::new(0))).collect(),
            lead: u64::from(lead),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            ticked: Condvar::new(),
        }
    }

    /// Returns the hand of the clock of `worker`; each worker takes its own, once.
    pub(crate) fn hand(&self, worker: usize) -> Hand<'_> {
        Hand { clocks: self, worker, now: Cell::new(0), slowest: Cell::new(0) }
    }

    /// Returns the time of the slowest worker.
    fn slowest(&self) -> u64 {
        // A worker who reads a time also sees what was written before it.
        let times = self.clocks.iter().map(|clock| clock.0.load(Ordering::Acquire));
        times.min().unwrap_or(GONE)
    }

    fn set(&self, worker: usize, time: u64) {
        self.clocks[worker].0.store(time, Ordering::Release);
        // Either this sees a worker who is about to sleep, or that one sees the new time.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            drop(self.sleep.lock());
            self.ticked.notify_all();
        }
    }
}

impl Hand<'_> {
    /// Waits until this worker is no more than the lead ahead of the slowest.
    pub(crate) fn wait(&self) {
        let needed = self.now.get().saturating_sub(self.clocks.lead);
        if self.slowest.get() >= needed {
            return;
        }
        for _ in 0..LOOKS {
            if self.look() >= needed {
                return;
            }
            pause();
        }
        let mut guard = self.clocks.sleep.lock();
        self.clocks.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while self.look() < needed {
            guard = self.clocks.ticked.wait(guard);
        }
        self.clocks.sleepers.fetch_sub(1, Ordering::Relaxed);
        drop(guard);
    }

    /// Counts a step of this worker.
    pub(crate) fn tick(&self) {
        self.now.set(self.now.get() + 1);
        self.clocks.set(self.worker, self.now.get());
    }

    fn look(&self) -> u64 {
        self.slowest.set(self.clocks.slowest());
        self.slowest.get()
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.clocks.set(self.worker, GONE);
    }
}

#[cfg(all(test, not(asyn_loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_worker_runs_further_ahead_than_its_lead() {
        for lead in [0, 1, 5] {
            let clocks = Clocks::new(3, lead);
            std::thread::scope(|scope| {
                for worker in 0..3 {
                    let clocks = &clocks;
                    scope.spawn(move || {
                        let hand = clocks.hand(worker);
                        for step in 0..if worker == 1 { 100 } else { 400 } {
                            hand.wait();
                            assert!(clocks.slowest() + u64::from(lead) >= step);
                            if worker == 2 && step % 64 == 0 {
                                std::thread::yield_now();
                            }
                            hand.tick();
                        }
                    });
                }
            });
        }
    }
}

#[cfg(all(test, asyn_loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    use super::*;

    #[test]
    fn every_interleaving_wakes_who_waits_and_shows_what_was_done_before() {
        loom::model(|| {
            // A cell that loom watches: it fails if the two accesses are not ordered.
            let shared = Arc::new((Clocks::new(2, 0), UnsafeCell::new(0)));
            let other = {
                let shared = Arc::clone(&shared);
                loom::thread::spawn(move || {
                    let hand = shared.0.hand(1);
                    hand.wait();
                    hand.tick();
                    hand.wait();
                    shared.1.with(|_| ());
                })
            };
            {
                let hand = shared.0.hand(0);
                hand.wait();
                shared.1.with_mut(|_| ());
                hand.tick();
                hand.wait();
            }
            other.join().expect("the other worker ends");
        });
    }

    #[test]
    fn a_worker_who_leaves_is_not_waited_for() {
        loom::model(|| {
            let clocks = Arc::new(Clocks::new(2, 0));
            let other = {
                let clocks = Arc::clone(&clocks);
                loom::thread::spawn(move || {
                    let hand = clocks.hand(1);
                    hand.tick();
                    hand.wait();
                })
            };
            drop(clocks.hand(0));
            other.join().expect("the other worker ends");
        });
    }
}
