//! A worker's own copy of what all workers write all the time.
//!
//! A row that every worker writes in every step moves from cache to cache: two
//! threads are then slower than one. Each worker therefore keeps its own copy of
//! the most frequent rows, of small whole tensors and of matrices in panels, reads and
//! writes the copy, and merges a share of it with the shared weights in each step:
//!
//! ```text
//! shared += local − base;   local = base = shared
//! ```
//!
//! where `base` is what the worker saw last. In `merge_every` steps everything is
//! merged once. What others wrote to these rows reaches the worker with that delay.
//! Rows are numbered by falling frequency, so the hot ones are the first.
//!
//! Tables of update rules are merged so where changes of several workers add up. Those that hold
//! means, such as the moments of Adam, are each worker's own until the next quiet point, where
//! the shared table becomes the mean of all ([`Merge`]).

use std::ops::Range;

use crate::Real;
use crate::instruments::{Announcer, Ledger, Shadow};
use crate::layout::{Layout, Shape, TensorId};
use crate::shared::{PanelView, RowsView, SharedWeights, WeightsView};

/// Which rows a worker keeps for itself, and how often it merges them.
///
/// Small whole tensors and matrices in panels are kept with them; `rows: 0` keeps these alone.
///
/// ```
/// use asyn_core::{AsynGrad, Replicas, Trainer};
///
/// let replicas = Replicas { rows: 512, merge_every: 16 };
/// let trainer =
///     Trainer::builder().strategy(AsynGrad).threads(8).replicas(Some(replicas)).build()?;
/// # let _ = trainer;
/// # Ok::<(), asyn_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// How many of the most frequent rows of each row tensor.
    pub rows: u32,
    /// In how many steps all of them are merged once.
    pub merge_every: u32,
}

/// How the copies that workers have of a table come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// What each worker changed is added, a share in each step.
    Added,
    /// Each worker goes on with its copy, and at quiet points the table becomes the mean of all.
    Averaged,
    /// There are no copies: the table is one worker's own, or all write it in place.
    Never,
}

/// The largest whole tensor that is replicated, in floats: an edge matrix of 64 labels. Matrices
/// in panels may have any size.
const LARGEST_WHOLE: usize = 4096;

/// How many floats are merged by one call at most, of rows and of whole tensors.
const SHARE: usize = 512;
const SHARE_OF_PANELS: usize = 1 << 14;

/// The replica of one worker, over all tables.
#[derive(Debug)]
pub(crate) struct Replica {
    parts: Vec<Part>,
    /// The copies by table, where there are any.
    tables: Vec<Option<Local>>,
    shares: Vec<Share>,
    merge_every: usize,
    next: usize,
    step: usize,
}

/// A tensor, or its first rows, and its place in the local copy.
#[derive(Debug)]
struct Part {
    tensor: TensorId,
    hot: u32,
    stride: usize,
    /// How many floats are merged at once.
    share: usize,
    local: Range<usize>,
    shared_start: usize,
    first_block: usize,
}

/// The local copy of one table.
#[derive(Debug)]
struct Local {
    copy: SharedWeights,
    base: Vec<Real>,
    merge: Merge,
}

/// A range of the copy that is merged at once.
#[derive(Debug)]
struct Share {
    local: Range<usize>,
    shared_start: usize,
    /// The numbers of the blocks that it has a part of.
    blocks: Range<usize>,
    whole: bool,
}

impl Replica {
    /// `merges` has an element for each table.
    pub(crate) fn new(layout: &Layout, replicas: Replicas, merges: &[Merge]) -> Self {
        let mut parts = Vec::new();
        let mut end = 0;
        for id in layout.ids() {
            let tensor = layout.tensor(id);
            let (hot, stride, share, len) = match tensor.shape {
                Shape::Rows { rows, stride, .. } => {
                    let hot = replicas.rows.min(u32::try_from(rows).unwrap_or(u32::MAX));
                    (hot, stride, SHARE, hot as usize * stride)
                }
                Shape::Dense { .. } if tensor.stored_len() <= LARGEST_WHOLE => {
                    (0, 0, SHARE, tensor.stored_len())
                }
                Shape::Dense { .. } => continue,
                Shape::Panels { .. } => (0, 0, SHARE_OF_PANELS, tensor.stored_len()),
            };
            if len > 0 {
                parts.push(Part {
                    tensor: id,
                    hot,
                    stride,
                    share,
                    local: end..end + len,
                    shared_start: tensor.start,
                    first_block: tensor.first_block,
                });
                end = (end + len).next_multiple_of(16);
            }
        }
        let shares = parts.iter().flat_map(Part::shares).collect();
        let local = |&merge: &Merge| {
            let copy = || SharedWeights::zeroed(end);
            (merge != Merge::Never).then(|| Local { copy: copy(), base: vec![0.0; end], merge })
        };
        let tables = merges.iter().map(local).collect();
        let merge_every = replicas.merge_every.max(1) as usize;
        Self { parts, tables, shares, merge_every, next: 0, step: 0 }
    }

    /// Returns the local copy of the hot rows of a tensor.
    #[inline]
    pub(crate) fn rows(&self, table: usize, tensor: TensorId) -> Option<RowsView<'_>> {
        let part = self.parts.iter().find(|part| part.tensor == tensor && part.hot > 0)?;
        let copy = &self.tables[table].as_ref()?.copy;
        Some(copy.rows(part.local.start, part.hot as usize, part.stride))
    }

    /// Returns the local copy of the hot rows of a tensor, as they lie one after another.
    pub(crate) fn front(&self, table: usize, tensor: TensorId) -> Option<WeightsView<'_>> {
        let part = self.parts.iter().find(|part| part.tensor == tensor && part.hot > 0)?;
        Some(self.tables[table].as_ref()?.copy.view(part.local.start, part.local.len()))
    }

    /// Returns the local copy of a whole tensor.
    pub(crate) fn whole(&self, table: usize, tensor: TensorId) -> Option<WeightsView<'_>> {
        let part = self.whole_part(tensor)?;
        Some(self.tables[table].as_ref()?.copy.view(part.local.start, part.local.len()))
    }

    /// Returns the local copy of a tensor that is stored as panels of `k` rows and `n` columns
    /// in all.
    pub(crate) fn panels(
        &self,
        table: usize,
        tensor: TensorId,
        (k, n): (usize, usize),
    ) -> Option<PanelView<'_>> {
        let part = self.whole_part(tensor)?;
        Some(self.tables[table].as_ref()?.copy.panels(part.local.start, k, n))
    }

    fn whole_part(&self, tensor: TensorId) -> Option<&Part> {
        self.parts.iter().find(|part| part.tensor == tensor && part.hot == 0)
    }

    /// Merges as many shares as keep all of them merged once in `merge_every` steps;
    /// says whether a whole tensor was among them.
    pub(crate) fn merge_share(
        &mut self,
        shared: &[&SharedWeights],
        mut ledger: Option<&mut Ledger>,
        mut announcer: Option<&mut Announcer<'_>>,
        mut shadow: Option<&mut Shadow>,
    ) -> bool {
        self.step = self.step % self.merge_every + 1;
        let until = self.shares.len() * self.step / self.merge_every;
        let mut whole = false;
        for at in self.next..until {
            whole |= self.shares[at].whole;
            let blocks = self.shares[at].blocks.clone();
            let mut merge = || self.merge(at, shared, ledger.as_deref_mut(), shadow.as_deref_mut());
            match &mut announcer {
                Some(announcer) => announcer.write(blocks, merge),
                None => merge(),
            }
        }
        self.next = if self.step == self.merge_every { 0 } else { until };
        whole
    }

    /// Brings everything to the shared weights, as one of `n_workers` that do.
    pub(crate) fn flush(
        &mut self,
        shared: &[&SharedWeights],
        n_workers: usize,
        mut ledger: Option<&mut Ledger>,
    ) {
        for at in 0..self.shares.len() {
            self.merge(at, shared, ledger.as_deref_mut(), None);
        }
        self.next = 0;
        self.step = 0;
        #[allow(clippy::cast_precision_loss, reason = "workers are few")]
        let n_workers = n_workers as Real;
        for (local, shared) in self.tables.iter_mut().zip(shared) {
            let Some(local) = local.as_mut().filter(|it| it.merge == Merge::Averaged) else {
                continue;
            };
            for part in &self.parts {
                let base = &local.base[part.local.clone()];
                let [mut own, mut mean] = [const { Vec::new() }; 2];
                own.resize(base.len(), 0.0);
                mean.resize(base.len(), 0.0);
                local.copy.view(part.local.start, own.len()).read_into(&mut own);
                let shared = shared.view(part.shared_start, mean.len());
                shared.read_into(&mut mean);
                for ((mean, own), base) in mean.iter_mut().zip(own).zip(base) {
                    let moved = *mean + (own - base) / n_workers;
                    // What rounding leaves of a base that workers took away could be below 0, where
                    // a mean of squares must not be.
                    let is_rest = moved.abs() < n_workers * Real::EPSILON * base.abs();
                    *mean = if is_rest { 0.0 } else { moved };
                }
                shared.write_from(&mean);
            }
        }
    }

    /// Copies the shared weights anew.
    pub(crate) fn refresh(&mut self, shared: &[&SharedWeights]) {
        for (local, shared) in self.tables.iter_mut().zip(shared) {
            let Some(local) = local else { continue };
            for part in &self.parts {
                let base = &mut local.base[part.local.clone()];
                shared.view(part.shared_start, base.len()).read_into(base);
                local.copy.view(part.local.start, base.len()).write_from(base);
            }
        }
    }

    /// Merges one share; what the weights, table 0, are meant to gain is noted.
    fn merge(
        &mut self,
        at: usize,
        shared: &[&SharedWeights],
        mut ledger: Option<&mut Ledger>,
        mut shadow: Option<&mut Shadow>,
    ) {
        let Share { local: range, shared_start: start, .. } = &self.shares[at];
        for (local, shared) in self.tables.iter_mut().zip(shared) {
            let Some(local) = local.as_mut().filter(|it| it.merge == Merge::Added) else {
                continue;
            };
            let base = &mut local.base[range.clone()];
            let copy = local.copy.view(range.start, range.len());
            let view = shared.view(*start, range.len());
            let ledger = ledger.take().filter(|it| it.watches(*start, range.len()));
            let gained = ledger.is_some().then(|| {
                let mut gained = vec![0.0; base.len()];
                copy.read_into(&mut gained);
                gained.iter_mut().zip(&*base).for_each(|(gained, base)| *gained -= base);
                gained
            });
            let shadow = shadow.take();
            let merge = || match shadow {
                Some(shadow) => shadow.write(view, |shared| {
                    shared.view(0, range.len()).merge(&copy, base);
                }),
                None => view.merge(&copy, base),
            };
            match ledger.zip(gained) {
                Some((ledger, gained)) => ledger.merge(shared, *start, &gained, merge),
                None => merge(),
            }
        }
    }
}

impl Part {
    fn shares(&self) -> impl Iterator<Item = Share> + '_ {
        let whole = self.hot == 0;
        self.local.clone().step_by(self.share).map(move |start| {
            let local = start..(start + self.share).min(self.local.end);
            let offset = start - self.local.start;
            let rows = match whole {
                true => 0..1,
                false => offset / self.stride..(offset + local.len()).div_ceil(self.stride),
            };
            let blocks = self.first_block + rows.start..self.first_block + rows.end;
            Share { local, shared_start: self.shared_start + offset, blocks, whole }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (Layout, TensorId, TensorId) {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", 100, 22);
        let dense = layout.dense("dense", 22, 22);
        (layout, rows, dense)
    }

    #[test]
    fn two_replicas_merge_to_the_sum_of_their_changes() {
        let (layout, rows, dense) = fixture();
        let shared = SharedWeights::zeroed(layout.len());
        shared.view(0, layout.len()).write_from(&vec![1.0; layout.len()]);
        let replicas = Replicas { rows: 10, merge_every: 4 };
        let mut first = Replica::new(&layout, replicas, &[Merge::Added]);
        let mut second = Replica::new(&layout, replicas, &[Merge::Added]);
        first.refresh(&[&shared]);
        second.refresh(&[&shared]);
        let view = first.rows(0, rows).expect("replicated");
        assert_eq!(view.n_rows(), 10);
        view.add_rows(&[3], 1.0, &[2.0; 24]);
        second.rows(0, rows).expect("replicated").add_rows(&[3, 4], 1.0, &[3.0; 24]);
        second.whole(0, dense).expect("replicated").set(5, 9.0);
        first.flush(&[&shared], 2, None);
        second.flush(&[&shared], 2, None);
        let seen = |row: usize| shared.view(row * 24, 24).get(0);
        assert_eq!([seen(3), seen(4), seen(5)], [6.0, 4.0, 1.0]);
        assert_eq!(shared.view(layout.tensor(dense).start, 16).get(5), 9.0);
        // The second replica saw the first one's change when it merged.
        assert_eq!(second.rows(0, rows).expect("replicated").row(3).get(0), 6.0);
    }

    #[test]
    fn a_mean_of_numbers_that_are_not_negative_is_not_negative() {
        let (layout, _, dense) = fixture();
        let start = layout.tensor(dense).start;
        for n in 1..=9 {
            let shared = SharedWeights::zeroed(layout.len());
            shared.view(0, layout.len()).write_from(&vec![1.0; layout.len()]);
            let replicas = Replicas { rows: 0, merge_every: 4 };
            let workers = (0..n).map(|worker| {
                let mut replica = Replica::new(&layout, replicas, &[Merge::Averaged]);
                replica.refresh(&[&shared]);
                let own = replica.whole(0, dense).expect("replicated");
                own.set(0, 0.0);
                own.set(1, if worker == 0 { 3.0 } else { 0.0 });
                replica
            });
            for mut replica in workers.collect::<Vec<_>>() {
                replica.flush(&[&shared], n, None);
            }
            let mean = shared.view(start, 16);
            assert_eq!(mean.get(0), 0.0, "{n} workers");
            assert!((mean.get(1) - 3.0 / n as Real).abs() < 1e-6, "{n} workers");
        }
    }

    #[test]
    fn everything_is_merged_once_in_a_cycle() {
        let (layout, rows, _) = fixture();
        let shared = SharedWeights::zeroed(layout.len());
        for merge_every in [1, 3, 16, 64] {
            let mut replica =
                Replica::new(&layout, Replicas { rows: 100, merge_every }, &[Merge::Added]);
            replica.refresh(&[&shared]);
            let view = replica.rows(0, rows).expect("replicated");
            for row in 0..100 {
                view.add_rows(&[row], 1.0, &[1.0; 24]);
            }
            let before = shared.view(0, 2400).get(0);
            for _ in 0..merge_every {
                replica.merge_share(&[&shared], None, None, None);
            }
            let mut all = vec![0.0; 2400];
            shared.view(0, 2400).read_into(&mut all);
            assert!(all.iter().all(|&value| value == before + 1.0), "merge_every {merge_every}");
        }
    }
}
