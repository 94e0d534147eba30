//! Kernels on rows of a table.
//!
//! A row is cut into strips of at most 64 floats. For each strip, a kernel goes through
//! the list of ids once, with everything that is not shared in registers: the sum of the
//! rows, or the values to add. Most rows are one strip.

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
pub(super) unsafe fn row_strips<V: Lanes, S: Strip>(stride: usize, strip: S) {
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

/// `out = Σ row[id]` over `ids`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn sum_rows<V: Lanes>(rows: &RowCells<'_>, ids: &[u32], out: &mut [f32]) {
    let sum = Sum { rows, ids, out: out.as_mut_ptr(), add: false };
    // SAFETY: the caller gives one row for `out`.
    unsafe { row_strips::<V, _>(rows.stride, sum) }
}

/// `out += Σ row[id]` over `ids`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn add_to_sum<V: Lanes>(rows: &RowCells<'_>, ids: &[u32], out: &mut [f32]) {
    let sum = Sum { rows, ids, out: out.as_mut_ptr(), add: true };
    // SAFETY: the caller gives one row for `out`.
    unsafe { row_strips::<V, _>(rows.stride, sum) }
}

/// `row[id] += a x` for each of `ids`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn add_rows<V: Lanes>(rows: &RowCells<'_>, ids: &[u32], a: f32, x: &[f32]) {
    // SAFETY: the caller gives one row for `x`.
    unsafe { row_strips::<V, _>(rows.stride, Add { rows, ids, a, x }) }
}

/// `row[id] = keep row[id] + rate x` for each of `ids`, with its `keep` and `rate`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn blend_rows<V: Lanes>(
    rows: &RowCells<'_>,
    ids: &[u32],
    keep: &[f32],
    rate: &[f32],
    x: &[f32],
) {
    // SAFETY: the caller gives as many factors and rates as ids, and one row for `x`.
    unsafe { row_strips::<V, _>(rows.stride, Blend { rows, ids, keep, rate, x }) }
}

/// The arguments of [`sum_rows`] and [`add_to_sum`].
struct Sum<'a> {
    rows: &'a RowCells<'a>,
    ids: &'a [u32],
    out: *mut f32,
    add: bool,
}

impl Strip for Sum<'_> {
    /// Four rows at a time are summed in a tree before they are added to the strip's
    /// sum, so that the latency of one addition is paid for every four rows.
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        let row = |id: u32| self.rows.row(id).wrapping_add(offset);
        // SAFETY: every id is found to be a row, and the strip lies within it and within
        // `out`.
        unsafe {
            let out = self.out.add(offset);
            let mut sums = [V::splat(0.0); C];
            if self.add {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(out.add(c * V::N));
                }
            }
            let (fours, ones) = self.ids.as_chunks::<4>();
            for ids in fours {
                let rows = [row(ids[0]), row(ids[1]), row(ids[2]), row(ids[3])];
                for (c, sum) in sums.iter_mut().enumerate() {
                    let at = c * V::N;
                    let low = V::load_shared(rows[0].add(at)).add(V::load_shared(rows[1].add(at)));
                    let high = V::load_shared(rows[2].add(at)).add(V::load_shared(rows[3].add(at)));
                    *sum = sum.add(low.add(high));
                }
            }
            for &id in ones {
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(V::load_shared(row(id).add(c * V::N)));
                }
            }
            for (c, sum) in sums.into_iter().enumerate() {
                sum.store(out.add(c * V::N));
            }
        }
    }
}

/// The arguments of [`add_rows`].
struct Add<'a> {
    rows: &'a RowCells<'a>,
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
                let row = self.rows.row(id).add(offset);
                for (c, change) in change.into_iter().enumerate() {
                    let cells = row.add(c * V::N);
                    V::load_shared(cells).add(change).store_shared(cells);
                }
            }
        }
    }
}

/// The arguments of [`blend_rows`].
struct Blend<'a> {
    rows: &'a RowCells<'a>,
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
                let row = self.rows.row(id).add(offset);
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
