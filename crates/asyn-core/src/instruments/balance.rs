//! Whether what workers added is there in the end: mass that was lost on writing.
//!
//! A sample of the rows is watched: of every so many, the one whose number leaves a remainder that
//! the seed chooses. Rows are numbered by falling frequency, so frequent and rare ones are watched
//! in their proportion, and a step that writes none of them is told from the others in a few
//! nanoseconds. Small whole tensors are watched if that is asked for. Each worker sums up what its writes to them were meant to add, element by element;
//! between two segments the sums of all workers are compared with what the weights gained.
//!
//! What a write is meant to add is found by doing it on a private copy of the watched blocks, read
//! just before: the same kernel on the same values rounds as the write itself does. A write that
//! nobody disturbed therefore adds exactly what was meant, and one worker balances to the bit.
//! Where another worker came in between, the write started from another value. That changes
//! the rounding, which is bounded, and, if a rule shrinks weights, how much it shrinks, which is
//! estimated from the largest such change that was seen. Both add up to the tolerance of the
//! element.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use crate::Real;
use crate::layout::{Layout, Shape, TensorId};
use crate::seed::{Purpose, SplitMix64};
use crate::shared::{Lists, RowsView, SharedWeights, Vectorised, WeightsView};

/// The largest whole tensor that is watched, in floats.
const LARGEST_WHOLE: usize = 4096;

/// Tells the stream that chooses blocks from others of the same purpose.
const BLOCKS: u64 = 0x62_6c_6f_63;

/// A bound on what one write rounds differently at two values, relative to the larger one: four
/// half units in the last place.
const ROUNDING: f64 = 1.0 / (1 << 22) as f64;

/// What was written to the watched blocks, and what of it was lost.
///
/// Under-counts: losses that cancel within an element and a segment, losses below the tolerance,
/// rows that are not sampled, whole tensors unless they are watched, and those of more than 4096
/// floats. Over-counts nothing beyond the tolerance, except with [`Adam`](crate::Adam): where another
/// worker changed the moments after they were copied, the step is another one than was meant, and
/// the difference counts as lost. Weights are taken as they are stored, which for [`Sgd`](crate::Sgd) with
/// L2 is without the scale, and only their own table is watched.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mass {
    /// `Σ |δ|` over all writes to watched elements, of all workers.
    pub written: f64,
    /// `Σ |Σδ − (w_end − w_start)|` over the watched elements, each with its increments `δ` in
    /// one segment; 0 for an element within its tolerance.
    pub lost: f64,
    /// The sum of the tolerances.
    pub tolerance: f64,
}

impl Mass {
    /// Returns the share of what was written that was lost, from 0 up; 0 if nothing was written.
    #[must_use]
    pub fn lost_share(&self) -> f64 {
        if self.written > 0.0 { self.lost / self.written } else { 0.0 }
    }

    /// Adds what was seen in another segment.
    pub fn add(&mut self, other: &Self) {
        self.written += other.written;
        self.lost += other.lost;
        self.tolerance += other.tolerance;
    }
}

/// Which blocks are watched.
#[derive(Debug)]
pub(crate) struct Sample {
    /// A row is watched if its number has these bits under the mask.
    bits: u32,
    mask: u32,
    parts: Vec<Part>,
    len: usize,
}

/// The watched blocks of a tensor; a whole tensor is one row.
#[derive(Debug)]
struct Part {
    start: usize,
    stride: usize,
    has_rows: bool,
    /// Ascending.
    rows: Vec<u32>,
    /// Where they start in the sums.
    at: usize,
}

impl Sample {
    /// Chooses one in `one_in` rows, rounded up to a power of two, and all whole tensors that are
    /// not too large if `whole`.
    ///
    /// # Panics
    ///
    /// If a tensor has more than 2³² rows.
    pub(crate) fn new(layout: &Layout, one_in: NonZeroU32, whole: bool, seed: u64) -> Self {
        let mask = u32::try_from(u64::from(one_in.get()).next_power_of_two() - 1)
            .expect("the largest power of two that is asked for is 2^32");
        let random = SplitMix64::stream(seed, Purpose::Calibration, BLOCKS, 0).next_u64();
        #[allow(clippy::cast_possible_truncation, reason = "any bits do")]
        let bits = random as u32 & mask;
        let mut sample = Self { bits, mask, parts: Vec::new(), len: 0 };
        for tensor in layout.tensors() {
            let (has_rows, stride) = match tensor.shape {
                Shape::Rows { stride, .. } => (true, stride),
                Shape::Dense { .. } | Shape::Panels { .. } => (false, tensor.stored_len()),
            };
            let n_rows = u32::try_from(tensor.n_blocks()).expect("rows are numbered by u32");
            let rows: Vec<u32> = match has_rows {
                true => (0..n_rows).filter(|&row| sample.has(row)).collect(),
                false => (0..n_rows).filter(|_| whole && stride <= LARGEST_WHOLE).collect(),
            };
            let at = sample.len;
            sample.len += rows.len() * stride;
            sample.parts.push(Part { start: tensor.start, stride, has_rows, rows, at });
        }
        sample
    }

    #[inline(always)]
    fn has(&self, row: u32) -> bool {
        row & self.mask == self.bits
    }

    /// Sets `found` to the positions of the watched among `rows`.
    fn find(&self, rows: &[u32], found: &mut Vec<usize>) {
        found.clear();
        Search { sample: self, rows, found }.run();
    }

    /// Returns the place of a row, or of a whole tensor as row 0, in the sums.
    #[inline]
    fn place(&self, tensor: TensorId, row: u32) -> Option<usize> {
        let part = &self.parts[tensor.index()];
        if part.has_rows && !self.has(row) {
            return None;
        }
        part.rows.binary_search(&row).ok().map(|nth| part.at + nth * part.stride)
    }

    /// Returns what is watched of the `len` weights from `start`, all of one tensor, and the place
    /// of each piece in the sums.
    fn pieces(&self, start: usize, len: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let end = start + len;
        let of = |part: &&Part| {
            let len = part.rows.last().map_or(0, |&row| (row as usize + 1) * part.stride);
            part.start <= start && start < part.start + len
        };
        self.parts.iter().find(of).into_iter().flat_map(move |part| {
            let first = (start - part.start) / part.stride;
            let skipped = part.rows.partition_point(|&row| (row as usize) < first);
            part.rows.iter().enumerate().skip(skipped).map_while(move |(nth, &row)| {
                let row_start = part.start + row as usize * part.stride;
                let (from, to) = (row_start.max(start), (row_start + part.stride).min(end));
                (from < to).then(|| (from..to, part.at + nth * part.stride + (from - row_start)))
            })
        })
    }

    /// Returns where each watched block starts, in the weights and in the sums, and its length.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        self.parts.iter().flat_map(|part| {
            let places = (part.at..).step_by(part.stride.max(1));
            part.rows
                .iter()
                .zip(places)
                .map(|(&row, at)| (part.start + row as usize * part.stride, at, part.stride))
        })
    }

    fn read(&self, weights: &SharedWeights, out: &mut [Real]) {
        for (start, at, len) in self.blocks() {
            weights.view(start, len).read_into(&mut out[at..at + len]);
        }
    }
}

/// Finds the positions of the watched among `rows`.
struct Search<'a> {
    sample: &'a Sample,
    rows: &'a [u32],
    found: &'a mut Vec<usize>,
}

impl Vectorised for Search<'_> {
    #[inline(always)]
    fn compute(self) {
        const CHUNK: usize = 32;
        for (chunk, rows) in self.rows.chunks(CHUNK).enumerate() {
            // Most chunks hold none. Without an early end all are compared at once.
            let has_any = |any: bool, &row: &u32| any | self.sample.has(row);
            if rows.iter().fold(false, has_any) {
                let watched = rows.iter().enumerate().filter(|&(_, &row)| self.sample.has(row));
                self.found.extend(watched.map(|(i, _)| chunk * CHUNK + i));
            }
        }
    }
}

/// Watched weights that lie in a row, and their place in the sums.
type Piece<'v> = (WeightsView<'v>, usize);

/// What one worker meant to add to the watched blocks.
#[derive(Debug)]
pub(crate) struct Ledger {
    sample: Arc<Sample>,
    sums: Vec<f64>,
    tolerances: Vec<f64>,
    /// For each element, the largest difference that starting from another value has made.
    worst: Vec<f64>,
    written: f64,
    /// The positions of the watched among the rows that are written.
    positions: Vec<usize>,
    scratch: Scratch,
}

/// Private copies of what is written next.
#[derive(Debug)]
struct Scratch {
    copy: SharedWeights,
    before: Vec<Real>,
    meant: Vec<Real>,
    after: Vec<Real>,
    started: Vec<Real>,
    again: Vec<Real>,
}

impl Ledger {
    pub(crate) fn new(sample: Arc<Sample>) -> Self {
        let [sums, tolerances, worst] = std::array::from_fn(|_| vec![0.0; sample.len]);
        let (positions, scratch) = (Vec::new(), Scratch::empty());
        Self { sample, sums, tolerances, worst, written: 0.0, positions, scratch }
    }

    /// Calls `write`, which applies a step to the rows of `lists`, those before `first` excepted;
    /// `apply` does the same to other rows, given the lists, and for each id in them its
    /// position in `lists`.
    pub(crate) fn write_rows(
        &mut self,
        tensor: TensorId,
        rows: &RowsView<'_>,
        first: usize,
        lists: Lists<'_>,
        apply: impl Fn(&RowsView<'_>, Lists<'_>, &[usize]),
        write: impl FnOnce(),
    ) {
        let mut positions = std::mem::take(&mut self.positions);
        self.sample.find(lists.ids(), &mut positions);
        positions.retain(|&position| lists.ids()[position] as usize >= first);
        self.write_at(tensor, rows, lists, &positions, apply, write);
        self.positions = positions;
    }

    /// As [`write_rows`](Self::write_rows), where `positions` are those of the watched rows in
    /// `lists`.
    fn write_at(
        &mut self,
        tensor: TensorId,
        rows: &RowsView<'_>,
        lists: Lists<'_>,
        positions: &[usize],
        apply: impl Fn(&RowsView<'_>, Lists<'_>, &[usize]),
        write: impl FnOnce(),
    ) {
        if positions.is_empty() {
            return write();
        }
        let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(positions.len());
        let mut slots = Vec::with_capacity(positions.len());
        for &position in positions {
            let row = lists.ids()[position];
            let at = self.sample.place(tensor, row).expect("the row was found to be watched");
            let slot = pieces.iter().position(|piece| piece.1 == at).unwrap_or_else(|| {
                pieces.push((rows.row(row), at));
                pieces.len() - 1
            });
            slots.push(u32::try_from(slot).expect("a step has few rows"));
        }
        let end_of_list = |&end: &u32| positions.partition_point(|&at| at < end as usize);
        let offsets: Vec<u32> = lists
            .offsets()
            .iter()
            .map(|end| u32::try_from(end_of_list(end)).expect("a step has few rows"))
            .collect();
        let most_writes = slots.len() + 1 - pieces.len().min(slots.len());
        let apply = |copy: &SharedWeights| {
            let rows = copy.rows(0, pieces.len(), rows.stride());
            apply(&rows, Lists::new(&slots, &offsets), positions);
        };
        self.write(&pieces, most_writes, apply, write);
    }

    /// Calls `write`, which applies a step to a whole tensor; `apply` does the same to other
    /// weights.
    pub(crate) fn write_whole(
        &mut self,
        tensor: TensorId,
        view: WeightsView<'_>,
        most_writes: usize,
        apply: impl Fn(&SharedWeights),
        write: impl FnOnce(),
    ) {
        let piece = self.sample.place(tensor, 0).map(|at| (view, at));
        self.write(piece.as_slice(), most_writes, apply, write);
    }

    /// Calls `write`, which adds `value` to the weight at `index` of a tensor.
    pub(crate) fn write_cell(
        &mut self,
        tensor: TensorId,
        cell: (WeightsView<'_>, usize),
        value: Real,
        write: impl FnOnce(),
    ) {
        let (view, index) = cell;
        let part = &self.sample.parts[tensor.index()];
        let row = u32::try_from(index / part.stride).expect("rows are numbered by u32");
        let at = self.sample.place(tensor, row).map(|at| at + index % part.stride);
        let before = view.get(index);
        write();
        if let Some(at) = at {
            let values = [before, before + value, view.get(index)];
            self.settle(at, 1, values, f64::from(value));
        }
    }

    /// Returns true if any of the `len` weights from `start`, all of one tensor, is watched.
    pub(crate) fn watches(&self, start: usize, len: usize) -> bool {
        self.sample.pieces(start, len).next().is_some()
    }

    /// Calls `write`, which adds `gained` to the weights from `start`.
    pub(crate) fn merge(
        &mut self,
        weights: &SharedWeights,
        start: usize,
        gained: &[Real],
        write: impl FnOnce(),
    ) {
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        let mut gains: Vec<Real> = Vec::new();
        for (piece, at) in self.sample.pieces(start, gained.len()) {
            pieces.push((weights.view(piece.start, piece.len()), at));
            gains.extend_from_slice(&gained[piece.start - start..piece.end - start]);
        }
        let apply = |copy: &SharedWeights| copy.view(0, gains.len()).add_scaled(1.0, &gains);
        self.write(&pieces, 1, apply, write);
    }

    /// Calls `write`, and notes what it was meant to add to `pieces`, each of which it writes
    /// `most_writes` times at most.
    fn write(
        &mut self,
        pieces: &[Piece<'_>],
        most_writes: usize,
        apply: impl Fn(&SharedWeights),
        write: impl FnOnce(),
    ) {
        let len: usize = pieces.iter().map(|piece| piece.0.len()).sum();
        if len == 0 {
            return write();
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::empty());
        scratch.resize(len);
        let Scratch { copy, before, meant, after, started, again } = &mut scratch;
        let read = |out: &mut [Real]| {
            let mut at = 0;
            for (view, _) in pieces {
                view.read_into(&mut out[at..at + view.len()]);
                at += view.len();
            }
        };
        let apply_to = |values: &[Real], out: &mut [Real]| {
            let view = copy.view(0, len);
            view.write_from(values);
            apply(copy);
            view.read_into(out);
        };
        read(before);
        apply_to(before, meant);
        write();
        read(after);
        // Where the result is another one, the write started about as much beside the value that
        // was read. What it adds from there tells how much that matters.
        let is_disturbed =
            meant.iter().zip(&*after).any(|(meant, after)| meant.to_bits() != after.to_bits());
        if is_disturbed {
            for ((start, &before), (&after, &meant)) in
                started.iter_mut().zip(&*before).zip(after.iter().zip(&*meant))
            {
                *start = before + (after - meant);
            }
            apply_to(started, again);
        }
        let mut from = 0;
        for (view, at) in pieces {
            for (i, at) in (from..from + view.len()).zip(*at..) {
                let otherwise = f64::from(again[i]) - f64::from(started[i]);
                self.settle(at, most_writes, [before[i], meant[i], after[i]], otherwise);
            }
            from += view.len();
        }
        self.scratch = scratch;
    }

    /// Notes an element: its value before the write, the one that was meant and the one found after
    /// it, and what the write adds to a value that others changed.
    #[allow(clippy::cast_precision_loss, reason = "a few writes")]
    fn settle(&mut self, at: usize, most_writes: usize, values: [Real; 3], otherwise: f64) {
        let [before, meant, after] = values.map(f64::from);
        let added = meant - before;
        self.sums[at] += added;
        self.written += added.abs();
        if values[1].to_bits() != values[2].to_bits() {
            let rounding = ROUNDING * (before.abs() + after.abs() + added.abs());
            // Others may have changed the value before the write and after it, to and fro.
            let worst = &mut self.worst[at];
            *worst = worst.max((otherwise - added).abs());
            self.tolerances[at] += *worst + most_writes as f64 * rounding;
        }
    }
}

impl Scratch {
    fn empty() -> Self {
        Self {
            copy: SharedWeights::zeroed(0),
            before: Vec::new(),
            meant: Vec::new(),
            after: Vec::new(),
            started: Vec::new(),
            again: Vec::new(),
        }
    }

    fn resize(&mut self, len: usize) {
        if self.copy.len() < len {
            self.copy = SharedWeights::zeroed(len.next_power_of_two());
        }
        let Self { before, meant, after, started, again, .. } = self;
        for values in [before, meant, after, started, again] {
            values.resize(len, 0.0);
        }
    }
}

/// The watched blocks as they were at the start of a segment.
#[derive(Debug)]
pub(crate) struct Balance {
    sample: Arc<Sample>,
    start: Vec<Real>,
    end: Vec<Real>,
}

impl Balance {
    pub(crate) fn new(sample: Arc<Sample>) -> Self {
        let (start, end) = (vec![0.0; sample.len], vec![0.0; sample.len]);
        Self { sample, start, end }
    }

    /// Starts a segment.
    pub(crate) fn open(&mut self, weights: &SharedWeights) {
        self.sample.read(weights, &mut self.start);
    }

    /// Ends a segment: compares what all workers meant to add with what the weights gained.
    pub(crate) fn close<'l>(
        &mut self,
        weights: &SharedWeights,
        ledgers: impl Iterator<Item = &'l mut Ledger>,
    ) -> Mass {
        self.sample.read(weights, &mut self.end);
        let mut mass = Mass::default();
        let mut sums = vec![[0.0; 2]; self.sample.len];
        for ledger in ledgers {
            mass.written += std::mem::take(&mut ledger.written);
            let own = ledger.sums.iter_mut().zip(&mut ledger.tolerances);
            for (sum, (added, tolerance)) in sums.iter_mut().zip(own) {
                sum[0] += std::mem::take(added);
                sum[1] += std::mem::take(tolerance);
            }
        }
        for (&[added, tolerance], (&start, &end)) in
            sums.iter().zip(self.start.iter().zip(&self.end))
        {
            let (start, end) = (f64::from(start), f64::from(end));
            // A change of others that is lost in rounding disturbs nobody.
            let tolerance = tolerance + ROUNDING * start.abs().max(end.abs());
            let gap = (added - (end - start)).abs();
            mass.tolerance += tolerance;
            mass.lost += if gap > tolerance { gap } else { 0.0 };
        }
        mass
    }
}
