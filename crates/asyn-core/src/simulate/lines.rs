//! Which simulated worker has which cache line, and which accesses met on one.

use rustc_hash::FxHashMap;

use super::MOST_WORKERS;

/// The cache lines of the weights, as in a machine whose caches are never full.
#[derive(Debug)]
pub(super) struct Lines {
    lines: FxHashMap<usize, Line>,
    workers: Vec<Reads>,
    /// Counts stores, to order them.
    clock: u64,
}

/// One cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The workers with a copy that is up to date, one bit each.
    holders: [u64; MOST_WORKERS / 64],
    /// When the line was last stored to, and by whom; 0 for never.
    stored_at: u64,
    stored_by: usize,
    /// When it was last stored to by somebody else than `stored_by`.
    other_stored_at: u64,
}

/// What a worker has loaded in its step.
#[derive(Debug, Default)]
struct Reads {
    /// When each line was first loaded.
    first: FxHashMap<usize, u64>,
    /// The line that was loaded last, and when.
    last: (usize, u64),
}

impl Lines {
    pub(super) fn new(n_workers: usize) -> Self {
        assert!(n_workers <= MOST_WORKERS, "more than {MOST_WORKERS} simulated workers");
        let workers = (0..n_workers).map(|_| Reads::default()).collect();
        Self { lines: FxHashMap::default(), workers, clock: 0 }
    }

    /// Loads a line; returns whether another worker had stored to it since this one had it.
    pub(super) fn load(&mut self, worker: usize, line: usize) -> bool {
        let now = self.clock;
        let reads = &mut self.workers[worker];
        reads.first.entry(line).or_insert(now);
        reads.last = (line, now);
        let line = self.lines.entry(line).or_default();
        let (word, bit) = (worker / 64, 1 << (worker % 64));
        let held = line.holders[word] & bit != 0;
        line.holders[word] |= bit;
        // The first load of a line by anybody is a miss of any program, not of sharing.
        !held && line.stored_at > 0
    }

    /// Returns whether a plain store to a line loses that of another worker: one that came after
    /// this worker's last load, if that was of the same line.
    pub(super) fn loses(&self, worker: usize, id: usize) -> bool {
        let (loaded, loaded_at) = self.workers[worker].last;
        let line = self.lines.get(&id).filter(|_| loaded == id);
        line.is_some_and(|line| line.stored_by_other(worker) > loaded_at)
    }

    /// Stores to a line; returns whether another worker had a copy of it.
    pub(super) fn store(&mut self, worker: usize, id: usize) -> bool {
        self.clock += 1;
        let line = self.lines.entry(id).or_default();
        let mut alone = [0; MOST_WORKERS / 64];
        alone[worker / 64] = 1 << (worker % 64);
        let shared = line.holders.iter().zip(alone).any(|(&holders, own)| holders & !own != 0);
        line.holders = alone;
        if line.stored_by != worker {
            line.other_stored_at = line.stored_at;
            line.stored_by = worker;
        }
        line.stored_at = self.clock;
        shared
    }

    /// Ends the loads of a gradient; returns whether another worker stored to one of its lines
    /// after it was loaded first.
    pub(super) fn end_reads(&mut self, worker: usize) -> bool {
        let lines = &self.lines;
        self.workers[worker].first.iter().any(|(line, &loaded_at)| {
            lines.get(line).is_some_and(|line| line.stored_by_other(worker) > loaded_at)
        })
    }

    /// Forgets what the step has loaded.
    pub(super) fn end_step(&mut self, worker: usize) {
        self.workers[worker].first.clear();
    }
}

impl Line {
    /// Returns when somebody else than `worker` last stored to the line; 0 for never.
    fn stored_by_other(&self, worker: usize) -> u64 {
        if self.stored_by == worker { self.other_stored_at } else { self.stored_at }
    }
}
