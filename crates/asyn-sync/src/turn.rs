//! Workers taking turns in a fixed order.
//!
//! The turn goes from worker to worker in the order of their numbers, skipping those
//! who have left. A worker waits until it is its turn and passes the turn on when its
//! guard is dropped, so a panic passes it on as well and hangs nobody.

use crate::primitive::{Condvar, Mutex, pause};

/// How often a worker looks whether it is its turn before it sleeps: for about 50 µs. A model
/// checker tries all interleavings anyway.
const LOOKS: u32 = if cfg!(asyn_loom) { 0 } else { 200 };

/// The turn of `k` workers.
#[derive(Debug)]
pub(crate) struct Turn {
    state: Mutex<State>,
    passed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Whose turn it is.
    holder: usize,
    /// Which workers still take turns.
    present: Vec<bool>,
}

/// A worker's membership; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Seat<'t> {
    turn: &'t Turn,
    worker: usize,
}

/// The right to act; passes the turn on when dropped.
#[derive(Debug)]
pub(crate) struct InTurn<'s> {
    turn: &'s Turn,
}

impl Turn {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            state: Mutex::new(State { holder: 0, present: vec![true; workers] }),
            passed: Condvar::new(),
        }
    }

    /// Returns the seat of `worker`; each worker takes its own, once.
    pub(crate) fn seat(&self, worker: usize) -> Seat<'_> {
        Seat { turn: self, worker }
    }
}

impl Seat<'_> {
    /// Waits until it is this worker's turn.
    pub(crate) fn wait(&self) -> InTurn<'_> {
        // Turns are a few microseconds long: to sleep and be woken takes ten times that.
        for _ in 0..LOOKS {
            if self.turn.state.lock().holder == self.worker {
                return InTurn { turn: self.turn };
            }
            pause();
        }
        let mut state = self.turn.state.lock();
        while state.holder != self.worker {
            state = self.turn.passed.wait(state);
        }
        InTurn { turn: self.turn }
    }
}

impl State {
    /// Gives the turn to the next worker who is present.
    fn pass(&mut self) {
        let k = self.present.len();
        let next =
            (1..=k).map(|step| (self.holder + step) % k).find(|&worker| self.present[worker]);
        self.holder = next.unwrap_or(self.holder);
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        self.turn.state.lock().pass();
        self.turn.passed.notify_all();
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.turn.state.lock();
        state.present[self.worker] = false;
        if state.holder == self.worker {
            state.pass();
        }
        drop(state);
        self.turn.passed.notify_all();
    }
}

#[cfg(all(test, not(asyn_loom)))]
mod tests {
    use super::*;

    #[test]
    fn workers_act_in_their_order_and_those_who_left_are_skipped() {
        let turn = Turn::new(3);
        let log = parking_lot::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (turn, log) = (&turn, &log);
                scope.spawn(move || {
                    let seat = turn.seat(worker);
                    // Worker 1 leaves after one turn.
                    for _ in 0..if worker == 1 { 1 } else { 3 } {
                        let _in_turn = seat.wait();
                        log.lock().push(worker);
                    }
                });
            }
        });
        // Whether worker 0 acts again before 2 leaves is up to the order; each prefix of turns is not.
        assert_eq!(*log.lock(), [0, 1, 2, 0, 2, 0, 2]);
    }
}

#[cfg(all(test, asyn_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_interleaving_keeps_the_order_and_ends() {
        loom::model(|| {
            let turn = Arc::new(Turn::new(2));
            let acts = Arc::new(AtomicUsize::new(0));
            let other = {
                let (turn, acts) = (Arc::clone(&turn), Arc::clone(&acts));
                loom::thread::spawn(move || {
                    let seat = turn.seat(1);
                    let _in_turn = seat.wait();
                    assert_eq!(acts.fetch_add(1, Ordering::Relaxed), 1);
                })
            };
            {
                let seat = turn.seat(0);
                let in_turn = seat.wait();
                assert_eq!(acts.fetch_add(1, Ordering::Relaxed), 0);
                drop(in_turn);
                let _again = seat.wait();
                assert_eq!(acts.fetch_add(1, Ordering::Relaxed), 2);
            }
            other.join().expect("the other worker ends");
        });
    }

    #[test]
    fn a_worker_who_leaves_without_acting_blocks_nobody() {
        loom::model(|| {
            let turn = Arc::new(Turn::new(2));
            let other = {
                let turn = Arc::clone(&turn);
                loom::thread::spawn(move || {
                    let seat = turn.seat(1);
                    let _in_turn = seat.wait();
                })
            };
            drop(turn.seat(0));
            other.join().expect("the other worker ends");
        });
    }
}
