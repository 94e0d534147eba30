//! Threads that run one at a time, in the order of a virtual clock.
//!
//! Every worker has a clock. The worker whose clock is earliest runs, and goes on until it is
//! ahead of the next one by the grain; then it hands over and sleeps. Ties go to the
//! one that has run least recently. What runs is therefore a function of the costs alone.
//!
//! A script of turns can take the place of the clocks, which then go on but decide nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::IntoIter;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::lines::Lines;
use super::{CostModel, SimulationReport, Turn};
use crate::shared::trace::{self, Kind};

thread_local! {
    /// The simulation that runs in threads started from this one, and this thread's seat in it.
    static SIMULATION: RefCell<Option<Arc<Scheduler>>> = const { RefCell::new(None) };
    static SEAT: RefCell<Option<Rc<Seat>>> = const { RefCell::new(None) };
}

/// Who may run, and when.
#[derive(Debug)]
pub(super) struct Scheduler {
    state: Mutex<State>,
    /// One for each worker, to wake no other.
    turns: Vec<Condvar>,
    cost: CostModel,
}

#[derive(Debug)]
struct State {
    workers: Vec<Clock>,
    running: usize,
    /// At how many points the running worker could have handed over in its turn.
    points: u64,
    limit: Limit,
    /// The turns that are left to follow.
    script: IntoIter<Turn>,
    /// Set when the script could not be followed.
    has_strayed: bool,
    /// The turns so far, if they are kept.
    turns: Option<Vec<Turn>>,
    /// Set when a worker found that nobody can go on.
    stuck: bool,
    lines: Lines,
    report: SimulationReport,
}

/// When the running worker hands over.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// When its clock passes this.
    Clock(f64),
    /// At this point of its turn.
    Points(u64),
}

#[derive(Debug, Clone)]
struct Clock {
    /// In nanoseconds.
    time: f64,
    status: Status,
    /// Loads since the cost of computing on them was last charged.
    loads: u64,
    /// When it last handed over, counted in turns.
    ran_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    /// Goes on after the next [`Seat::wake_all`] for this key.
    Waiting(usize),
    Done,
}

impl Scheduler {
    /// Makes a scheduler that follows `script`, if there is one, and `cost` otherwise.
    pub(super) fn new(
        n_workers: usize,
        cost: CostModel,
        script: Option<Vec<Turn>>,
        keeps_turns: bool,
    ) -> Arc<Self> {
        let clock = Clock { time: 0.0, status: Status::Ready, loads: 0, ran_at: 0 };
        let is_scripted = script.is_some();
        let mut state = State {
            workers: vec![clock; n_workers],
            running: 0,
            points: 0,
            limit: Limit::Clock(cost.grain),
            script: script.unwrap_or_default().into_iter(),
            has_strayed: false,
            turns: keeps_turns.then(Vec::new),
            stuck: false,
            lines: Lines::new(n_workers),
            report: SimulationReport::default(),
        };
        if is_scripted {
            state.follow_script();
        }
        let turns = (0..n_workers).map(|_| Condvar::new()).collect();
        Arc::new(Self { state: Mutex::new(state), turns, cost })
    }

    /// Makes workers that are started from this thread run in `scheduler`, or in none.
    pub(super) fn install(scheduler: Option<Arc<Self>>) {
        SIMULATION.set(scheduler);
    }

    /// Returns the simulation in which workers that this thread starts are to run.
    pub(super) fn installed() -> Option<Arc<Self>> {
        SIMULATION.with_borrow(Clone::clone)
    }

    /// Hands over the turns that were kept.
    pub(super) fn take_turns(&self) -> Vec<Turn> {
        self.state.lock().turns.take().unwrap_or_default()
    }

    /// Returns whether there was a script that could not be followed to its end.
    pub(super) fn has_strayed(&self) -> bool {
        let state = self.state.lock();
        state.has_strayed || state.script.len() > 0
    }

    /// Returns what was counted, with the time of the last worker.
    pub(super) fn report(&self) -> SimulationReport {
        let mut state = self.state.lock();
        let last = state.workers.iter().map(|worker| worker.time).fold(0.0, f64::max);
        state.report.seconds = last * 1e-9;
        state.report.clone()
    }
}

impl State {
    /// Makes those that wait for `key`, or for whatever, go on, no earlier than `waker` is now.
    fn wake_all(&mut self, waker: usize, key: Option<usize>, grain: f64) {
        let now = self.workers[waker].time;
        for worker in &mut self.workers {
            let Status::Waiting(awaited) = worker.status else { continue };
            if key.is_none_or(|key| key == awaited) {
                worker.status = Status::Ready;
                worker.time = worker.time.max(now);
                if let Limit::Clock(horizon) = &mut self.limit {
                    *horizon = horizon.min(worker.time + grain);
                }
            }
        }
    }

    /// Hands over to the worker whose turn it is, of those that can go on. Returns false if there
    /// is none.
    fn choose(&mut self, grain: f64) -> bool {
        let before = self.running;
        let found = match self.limit {
            Limit::Points(_) => self.follow_script() || self.follow_clocks(grain),
            Limit::Clock(_) => self.follow_clocks(grain),
        };
        if !found || self.running != before {
            let turn = Turn { worker: before, points: self.points };
            self.turns.iter_mut().for_each(|turns| turns.push(turn));
            self.points = 0;
        }
        found
    }

    /// Chooses the worker that is next in the script. Returns false if it cannot go on.
    fn follow_script(&mut self) -> bool {
        let ready = self.script.next().filter(|turn| {
            self.workers.get(turn.worker).is_some_and(|worker| worker.status == Status::Ready)
        });
        match ready {
            Some(Turn { worker, points }) => {
                self.running = worker;
                self.limit = Limit::Points(points);
                true
            }
            None => {
                self.has_strayed |= self.workers.iter().any(|worker| worker.status != Status::Done);
                false
            }
        }
    }

    /// Chooses the earliest worker. Returns false if none can go on.
    fn follow_clocks(&mut self, grain: f64) -> bool {
        let mut first: Option<usize> = None;
        let mut second = f64::INFINITY;
        for (index, worker) in self.workers.iter().enumerate() {
            if worker.status != Status::Ready {
                continue;
            }
            match first {
                Some(best) if worker.order() >= self.workers[best].order() => {
                    second = second.min(worker.time);
                }
                _ => {
                    second = first.map_or(second, |best| self.workers[best].time);
                    first = Some(index);
                }
            }
        }
        let Some(first) = first else { return false };
        self.running = first;
        self.limit = Limit::Clock(second + grain);
        true
    }
}

impl Clock {
    /// Returns what workers are chosen by, smallest first.
    fn order(&self) -> (f64, u64) {
        (self.time, self.ran_at)
    }
}

/// A worker's place in a simulation; left when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    scheduler: Arc<Scheduler>,
    index: usize,
}

impl Seat {
    /// Takes the place of worker `index` on this thread, and returns when it may run.
    pub(super) fn take(scheduler: Arc<Scheduler>, index: usize) -> TakenSeat {
        let seat = Rc::new(Self { scheduler, index });
        {
            let mut state = seat.scheduler.state.lock();
            seat.sleep_until_chosen(&mut state);
        }
        let watcher = Rc::clone(&seat);
        trace::watch(Some(Box::new(move |line, kind| watcher.access(line, kind))));
        SEAT.set(Some(seat));
        TakenSeat(())
    }

    /// Returns the seat of this thread.
    pub(super) fn of_thread() -> Option<Rc<Self>> {
        SEAT.with_borrow(Clone::clone)
    }

    fn access(&self, line: usize, kind: Kind) {
        let cost = &self.scheduler.cost;
        let mut state = self.scheduler.state.lock();
        let State { lines, report, .. } = &mut *state;
        let (time, missed) = match kind {
            Kind::Load => {
                report.loads += 1;
                (cost.load, lines.load(self.index, line))
            }
            Kind::Store | Kind::Exchange => {
                report.stores += 1;
                let is_plain = kind == Kind::Store;
                report.lost_stores += u64::from(is_plain && lines.loses(self.index, line));
                (cost.store, lines.store(self.index, line))
            }
        };
        report.misses += u64::from(missed);
        state.workers[self.index].loads += u64::from(kind == Kind::Load);
        self.advance(&mut state, time + if missed { cost.miss } else { 0.0 });
    }

    /// Charges the computation on what was loaded since the last call, and judges the reads of
    /// the step.
    pub(super) fn computed(&self) {
        let mut state = self.scheduler.state.lock();
        let State { lines, report, .. } = &mut *state;
        report.steps += 1;
        report.overwritten_steps += u64::from(lines.end_reads(self.index));
        let worker = &mut state.workers[self.index];
        let loads = std::mem::take(&mut worker.loads);
        self.advance(&mut state, self.scheduler.cost.compute * loads as f64);
    }

    /// Ends the writes of a step.
    pub(super) fn written(&self) {
        let mut state = self.scheduler.state.lock();
        state.workers[self.index].loads = 0;
        state.lines.end_step(self.index);
    }

    /// Lets `nanoseconds` pass.
    pub(super) fn sleep(&self, nanoseconds: f64) {
        let mut state = self.scheduler.state.lock();
        self.advance(&mut state, nanoseconds);
    }

    /// Lets the others run until one of them wakes those that wait for `key`.
    pub(super) fn wait(&self, key: usize) {
        let mut state = self.scheduler.state.lock();
        state.points += 1;
        state.workers[self.index].status = Status::Waiting(key);
        self.hand_over(&mut state);
    }

    /// Makes all that wait for `key` go on, no earlier than this worker is now.
    pub(super) fn wake_all(&self, key: usize) {
        self.scheduler.state.lock().wake_all(self.index, Some(key), self.scheduler.cost.grain);
    }

    /// Lets time pass for this worker. By the clocks, what takes no time is not interrupted.
    fn advance(&self, state: &mut MutexGuard<'_, State>, nanoseconds: f64) {
        state.points += 1;
        state.workers[self.index].time += nanoseconds;
        let now = state.workers[self.index].time;
        let is_over = match state.limit {
            Limit::Clock(horizon) => nanoseconds > 0.0 && now >= horizon,
            Limit::Points(last) => state.points >= last,
        };
        if is_over {
            self.hand_over(state);
        }
    }

    fn hand_over(&self, state: &mut MutexGuard<'_, State>) {
        state.workers[self.index].ran_at = state.report.switches + 1;
        if !state.choose(self.scheduler.cost.grain) {
            state.stuck = true;
            self.scheduler.turns.iter().for_each(|turn| _ = turn.notify_all());
        } else if state.running != self.index {
            state.report.switches += 1;
            self.scheduler.turns[state.running].notify_one();
        }
        self.sleep_until_chosen(state);
    }

    fn sleep_until_chosen(&self, state: &mut MutexGuard<'_, State>) {
        while state.running != self.index && !state.stuck {
            self.scheduler.turns[self.index].wait(state);
        }
        assert!(!state.stuck, "every simulated worker waits for another");
    }

    fn leave(&self) {
        let mut state = self.scheduler.state.lock();
        state.points += 1;
        state.workers[self.index].status = Status::Done;
        // A worker that ends, or panics, may be what others wait for.
        state.wake_all(self.index, None, self.scheduler.cost.grain);
        if state.choose(self.scheduler.cost.grain) {
            self.scheduler.turns[state.running].notify_one();
        }
    }
}

/// Leaves the seat of this thread when dropped.
#[derive(Debug)]
pub(crate) struct TakenSeat(());

impl Drop for TakenSeat {
    fn drop(&mut self) {
        trace::watch(None);
        if let Some(seat) = SEAT.take() {
            seat.leave();
        }
    }
}
