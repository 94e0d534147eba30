//! Which blocks are being written, by counters of begun and ended writes.
//!
//! Each worker has a pair of counters for each block, which it alone writes. A step notes how
//! many writes of others had ended before it first read a block, and afterwards how many have
//! begun: if there are more, the block was being written, or was written again, meanwhile.

#[cfg(asyn_loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(not(asyn_loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The most pairs of counters that a worker has: 512 KiB.
const MOST_PAIRS: usize = 1 << 16;

/// Of the sampled steps, how many met the writes of others on a block.
///
/// Over-counts: writes to another element of the block, or of the same value; writes that had
/// begun but not yet touched the block, or were over before it was read; and, beyond 65,536
/// blocks, writes to blocks whose numbers agree in the lower 16 bits. Under-counts nothing in the
/// sampled steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overwrites {
    /// The sampled steps.
    pub steps: u64,
    /// Those of which a block was being written, or was written again, between the first read and
    /// the end of the gradient, or of the copy if workers read from snapshots.
    pub read: u64,
    /// Those of which a block was being written by another worker while they wrote it.
    pub written: u64,
}

impl Overwrites {
    /// Returns the share of sampled steps whose reads were overwritten, from 0 to 1.
    #[must_use]
    pub fn read_rate(&self) -> f64 {
        self.rate(self.read)
    }

    /// Returns the share of sampled steps that wrote a block at the same time as another worker,
    /// from 0 to 1.
    #[must_use]
    pub fn write_rate(&self) -> f64 {
        self.rate(self.written)
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn rate(&self, of: u64) -> f64 {
        of as f64 / self.steps.max(1) as f64
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.read += other.read;
        self.written += other.written;
    }
}

/// The counters of all workers.
///
/// # Memory model
///
/// As in a sequence lock: a writer announces blocks before a fence and its stores, and
/// signs off with a release; a reader loads the ends with acquire before its reads, and the
/// beginnings after a fence. A reader that saw a store to a block therefore sees that it
/// had begun. The fences are sequentially consistent, so that of two workers that write a block at
/// the same time one sees the other, which release and acquire do not promise. Counters wrap,
/// which equality does not mind.
#[derive(Debug)]
pub(crate) struct Versions {
    workers: Vec<Box<[Pair]>>,
}

/// Writes that one worker has begun and ended.
#[derive(Debug, Default)]
struct Pair {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Versions {
    pub(crate) fn new(n_blocks: usize, n_workers: usize) -> Self {
        let n_pairs = n_blocks.next_power_of_two().min(MOST_PAIRS);
        let pairs = || (0..n_pairs).map(|_| Pair::default()).collect();
        Self { workers: (0..n_workers).map(|_| pairs()).collect() }
    }

    /// Announces that `worker` writes `blocks`.
    pub(crate) fn begin(&self, worker: usize, blocks: impl Iterator<Item = usize>) {
        for block in blocks {
            let begun = &self.pair(worker, block).begun;
            begun.store(begun.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Announces that `worker` has written `blocks`.
    pub(crate) fn end(&self, worker: usize, blocks: impl Iterator<Item = usize>) {
        for block in blocks {
            let ended = &self.pair(worker, block).ended;
            ended.store(ended.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        }
    }

    /// Notes, before `blocks` are accessed, how many writes by others than `worker` have ended.
    pub(crate) fn note(
        &self,
        worker: usize,
        blocks: impl Iterator<Item = usize>,
        noted: &mut Vec<(usize, u32)>,
    ) {
        noted.extend(blocks.map(|block| {
            (block, self.sum(worker, block, |pair| pair.ended.load(Ordering::Acquire)))
        }));
    }

    /// Returns, after the access, whether others than `worker` were writing one of the blocks.
    pub(crate) fn were_written(&self, worker: usize, noted: &[(usize, u32)]) -> bool {
        fence(Ordering::SeqCst);
        noted.iter().any(|&(block, ended)| {
            self.sum(worker, block, |pair| pair.begun.load(Ordering::Relaxed)) != ended
        })
    }

    fn sum(&self, except: usize, block: usize, count: impl Fn(&Pair) -> u32) -> u32 {
        (0..self.workers.len())
            .filter(|&worker| worker != except)
            .fold(0, |sum, worker| sum.wrapping_add(count(self.pair(worker, block))))
    }

    fn pair(&self, worker: usize, block: usize) -> &Pair {
        let pairs = &self.workers[worker];
        &pairs[block & (pairs.len() - 1)]
    }
}

/// One worker's announcements of what it writes.
#[derive(Debug)]
pub(crate) struct Announcer<'a> {
    versions: &'a Versions,
    worker: usize,
    /// Whether the step that is written is sampled.
    is_sampled: bool,
    /// Whether it met another worker.
    met: bool,
    noted: Vec<(usize, u32)>,
}

impl<'a> Announcer<'a> {
    pub(crate) fn new(versions: &'a Versions, worker: usize) -> Self {
        Self { versions, worker, is_sampled: false, met: false, noted: Vec::new() }
    }

    /// Starts the write of a step.
    pub(crate) fn start(&mut self, is_sampled: bool) {
        self.is_sampled = is_sampled;
        self.met = false;
    }

    /// Returns whether another worker wrote one of the step's blocks at the same time.
    pub(crate) fn has_met(&self) -> bool {
        self.met
    }

    /// Calls `write`, which writes `blocks`.
    pub(crate) fn write(
        &mut self,
        blocks: impl Iterator<Item = usize> + Clone,
        write: impl FnOnce(),
    ) {
        if self.is_sampled {
            self.noted.clear();
            self.versions.note(self.worker, blocks.clone(), &mut self.noted);
        }
        self.versions.begin(self.worker, blocks.clone());
        write();
        self.versions.end(self.worker, blocks);
        if self.is_sampled {
            self.met |= self.versions.were_written(self.worker, &self.noted);
        }
    }
}

#[cfg(all(test, asyn_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two workers write a block of two weights that a third one reads twice: in every
    /// interleaving, a reader that sees it change knows.
    #[test]
    fn a_block_that_changes_under_a_reader_is_seen_to_be_written() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let shared = Arc::new((Versions::new(1, 3), AtomicU32::new(0)));
            let writers: Vec<_> = (1..3)
                .map(|worker| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let (versions, weight) = &*shared;
                        versions.begin(worker as usize, [0].into_iter());
                        weight.store(worker, Ordering::Relaxed);
                        versions.end(worker as usize, [0].into_iter());
                    })
                })
                .collect();
            let (versions, weight) = &*shared;
            let mut noted = Vec::new();
            versions.note(0, [0].into_iter(), &mut noted);
            let seen = [(); 2].map(|()| weight.load(Ordering::Relaxed));
            let were_written = versions.were_written(0, &noted);
            assert!(were_written || seen[0] == seen[1], "{seen:?}");
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        });
    }

    /// Of two workers that write a block at the same time, one at least knows: the later one to
    /// note sees that the other has begun.
    #[test]
    fn a_lost_addition_is_seen_to_overlap() {
        loom::model(|| {
            let shared = Arc::new((Versions::new(1, 2), AtomicU32::new(0)));
            let add = |worker: usize, shared: &(Versions, AtomicU32)| {
                let (versions, weight) = shared;
                let mut announcer = Announcer::new(versions, worker);
                announcer.start(true);
                announcer.write([0].into_iter(), || {
                    let seen = weight.load(Ordering::Relaxed);
                    weight.store(seen + 1, Ordering::Relaxed);
                });
                announcer.has_met()
            };
            let other = Arc::clone(&shared);
            let other = thread::spawn(move || add(1, &other));
            let own = add(0, &shared);
            let other = other.join().unwrap();
            let is_lost = shared.1.load(Ordering::Relaxed) == 1;
            assert!(!is_lost || own || other);
        });
    }
}
