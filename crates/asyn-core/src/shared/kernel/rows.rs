//! Kernels on lists of rows of a table, one list for each token of a sentence.
//!
//! A call goes through many lists, so that its cost is paid once, and the loads of one list
//! overlap with those of the next. Rows with small ids may lie in a second table, a
//! worker's replica of them: which table a row is in is decided id by id.
//!
//! A row is cut into strips of at most 64 floats. For each strip, a kernel goes through
//! the list of ids once, with everything that is not shared in registers: the sum of the
//! rows, or the values to add. Most rows are one strip.

use std::sync::atomic::AtomicU32;

use super::RowCells;
use super::lanes::Lanes;

/// The floats of a strip: eight registers of eight floats, half of what AVX2 has.
const STRIP: usize = 64;

/// What a kernel does with one strip of rows: `C` vectors from `offset` in each row.
pub(super) trait Strip {
    /// # Safety
    ///
    /// As for [`Lanes`], and the strip lies within a row.
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize);
}

/// Takes `strip` over the whole `stride`, which is a multiple of `V::N`.
///
/// The number of vectors is a constant within a strip, so that they stay in registers;
/// arms with more than fit into a strip vanish.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels), and the private memory of the strip is as long as
/// the stride.
#[inline(always)]
pub(super) unsafe fn strips<V: Lanes, S: Strip>(stride: usize, mut strip: S) {
    let mut offset = 0;
    // SAFETY: the vectors of a strip end at or before `stride`.
    unsafe {
        while offset < stride {
            let n_vectors = ((stride - offset).min(STRIP) / V::N).min(8);
            match n_vectors {
                8 if 8 * V::N <= STRIP => strip.at::<V, 8>(offset),
                7 if 7 * V::N <= STRIP => strip.at::<V, 7>(offset),
                6 if 6 * V::N <= STRIP => strip.at::<V, 6>(offset),
                5 if 5 * V::N <= STRIP => strip.at::<V, 5>(offset),
                4 => strip.at::<V, 4>(offset),
                3 => strip.at::<V, 3>(offset),
                2 => strip.at::<V, 2>(offset),
                _ => strip.at::<V, 1>(offset),
            }
            offset += n_vectors * V::N;
        }
    }
}

/// Takes `strip` over a row in the widest vectors that divide the stride.
///
/// # Safety
///
/// As for [`strips`].
#[inline(always)]
unsafe fn row_strips<V: Lanes, S: Strip>(stride: usize, strip: S) {
    // SAFETY: rows start on multiples of the stride from a cache line, so vectors that
    // divide the stride are aligned in each of them.
    unsafe {
        if stride.is_multiple_of(V::N) {
            strips::<V, _>(stride, strip);
        } else {
            strips::<V::Half, _>(stride, strip);
        }
    }
}

/// A table of rows, the first of which are in a replica.
#[derive(Clone, Copy)]
pub(in super::super) struct SplitRows<'a> {
    /// The rows with the smallest ids; none if there is no replica.
    pub(in super::super) hot: RowCells<'a>,
    /// All rows, those of the replica included.
    pub(in super::super) all: RowCells<'a>,
}

impl RowCells<'_> {
    /// Returns `id` as an index.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline(always)]
    fn check(&self, id: u32) -> usize {
        let (id, n_rows) = (id as usize, self.n_rows);
        assert!(id < n_rows, "row {id} of {n_rows}");
        id
    }
}

impl SplitRows<'_> {
    /// Returns the first cell of row `id`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline(always)]
    fn row(&self, id: u32) -> *const AtomicU32 {
        let id = self.all.check(id);
        let table = if id < self.hot.n_rows { self.hot.cells } else { self.all.cells };
        table.as_ptr().wrapping_add(id * self.all.stride)
    }
}

/// Returns the ids of list `i`.
#[inline(always)]
fn list<'a>(ids: &'a [u32], offsets: &[u32], i: usize) -> &'a [u32] {
    &ids[offsets[i] as usize..offsets[i + 1] as usize]
}

/// `out[i] = row[ids[i]]`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn copy_rows<V: Lanes>(rows: &RowCells<'_>, ids: &[u32], out: &mut [f32]) {
    for (&id, out) in ids.iter().zip(out.chunks_exact_mut(rows.stride)) {
        let row = rows.cells.as_ptr().wrapping_add(rows.check(id) * rows.stride);
        // SAFETY: `row` is one of the rows, and `out` has room for it.
        unsafe { row_strips::<V, _>(rows.stride, CopyRow { row, out }) }
    }
}

/// `out[i] = Σ row[id]` over list `i`, with `width` floats from one sum to the next.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn sum_lists<V: Lanes>(
    rows: &SplitRows<'_>,
    ids: &[u32],
    offsets: &[u32],
    out: &mut [f32],
    width: usize,
) {
    for (i, out) in out.chunks_mut(width).take(offsets.len().saturating_sub(1)).enumerate() {
        let sum = Sum { rows, ids: list(ids, offsets, i), out };
        // SAFETY: the caller gives at least one row of floats for each list.
        unsafe { row_strips::<V, _>(rows.all.stride, sum) }
    }
}

/// `row[id] += a scales[i] x[i]` for each id of list `i`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn add_lists<V: Lanes>(
    rows: &SplitRows<'_>,
    ids: &[u32],
    offsets: &[u32],
    a: f32,
    scales: &[f32],
    x: &[f32],
) {
    for (i, (x, &scale)) in x.chunks_exact(rows.all.stride).zip(scales).enumerate() {
        let add = Add { rows, ids: list(ids, offsets, i), a: a * scale, x };
        // SAFETY: `x` is one row.
        unsafe { row_strips::<V, _>(rows.all.stride, add) }
    }
}

/// `row[id] = keep row[id] + rate x[i]` for each id of list `i`, with its `keep` and `rate`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn blend_lists<V: Lanes>(
    rows: &SplitRows<'_>,
    ids: &[u32],
    offsets: &[u32],
    keep: &[f32],
    rate: &[f32],
    x: &[f32],
) {
    let lists = offsets.len().saturating_sub(1);
    for (i, x) in x.chunks_exact(rows.all.stride).take(lists).enumerate() {
        let range = offsets[i] as usize..offsets[i + 1] as usize;
        let (keep, rate) = (&keep[range.clone()], &rate[range.clone()]);
        let blend = Blend { rows, ids: &ids[range], keep, rate, x };
        // SAFETY: `x` is one row.
        unsafe { row_strips::<V, _>(rows.all.stride, blend) }
    }
}

/// The arguments of [`copy_rows`] for one row.
struct CopyRow<'a> {
    row: *const AtomicU32,
    out: &'a mut [f32],
}

impl Strip for CopyRow<'_> {
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        // SAFETY: the strip lies within the row and within `out`.
        unsafe {
            for c in 0..C {
                let at = offset + c * V::N;
                V::load_shared(self.row.wrapping_add(at)).store(self.out.as_mut_ptr().add(at));
            }
        }
    }
}

/// The arguments of [`sum_lists`] for one list.
struct Sum<'a> {
    rows: &'a SplitRows<'a>,
    ids: &'a [u32],
    out: &'a mut [f32],
}

impl Strip for Sum<'_> {
    /// Two chains of additions, for even and odd positions, hide the latency of one.
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        // SAFETY: every id is found to be a row, and the strip lies within it and within
        // `out`.
        unsafe {
            let mut sums = [V::splat(0.0); C];
            let mut others = [V::splat(0.0); C];
            let (pairs, last) = self.ids.as_chunks::<2>();
            for pair in pairs {
                let rows = [self.rows.row(pair[0]), self.rows.row(pair[1])];
                for c in 0..C {
                    let at = offset + c * V::N;
                    sums[c] = sums[c].add(V::load_shared(rows[0].wrapping_add(at)));
                    others[c] = others[c].add(V::load_shared(rows[1].wrapping_add(at)));
                }
            }
            for &id in last {
                let row = self.rows.row(id);
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(V::load_shared(row.wrapping_add(offset + c * V::N)));
                }
            }
            let out = self.out.as_mut_ptr().add(offset);
            for c in 0..C {
                sums[c].add(others[c]).store(out.add(c * V::N));
            }
        }
    }
}

/// The arguments of [`add_lists`] for one list.
struct Add<'a> {
    rows: &'a SplitRows<'a>,
    ids: &'a [u32],
    a: f32,
    x: &'a [f32],
}

impl Strip for Add<'_> {
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        // SAFETY: every id is found to be a row, and the strip lies within it and within
        // `x`.
        unsafe {
            let mut change = [V::splat(0.0); C];
            for (c, change) in change.iter_mut().enumerate() {
                let x = V::load(self.x.as_ptr().add(offset + c * V::N));
                *change = x.mul(V::splat(self.a));
            }
            for &id in self.ids {
                let row = self.rows.row(id).wrapping_add(offset);
                for (c, change) in change.into_iter().enumerate() {
                    let cells = row.add(c * V::N);
                    V::load_shared(cells).add(change).store_shared(cells);
                }
            }
        }
    }
}

/// The arguments of [`blend_lists`] for one list.
struct Blend<'a> {
    rows: &'a SplitRows<'a>,
    ids: &'a [u32],
    keep: &'a [f32],
    rate: &'a [f32],
    x: &'a [f32],
}

impl Strip for Blend<'_> {
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        // SAFETY: every id is found to be a row, and the strip lies within it and within
        // `x`.
        unsafe {
            let mut x = [V::splat(0.0); C];
            for (c, x) in x.iter_mut().enumerate() {
                *x = V::load(self.x.as_ptr().add(offset + c * V::N));
            }
            for ((&id, &keep), &rate) in self.ids.iter().zip(self.keep).zip(self.rate) {
                let row = self.rows.row(id).wrapping_add(offset);
                let (keep, rate) = (V::splat(keep), V::splat(rate));
                for (c, x) in x.into_iter().enumerate() {
                    let cells = row.add(c * V::N);
                    let kept = V::load_shared(cells).mul(keep);
                    x.mul_add(rate, kept).store_shared(cells);
                }
            }
        }
    }
}
