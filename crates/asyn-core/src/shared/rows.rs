//! A table of weights that is touched row by row.
//!
//! Row `id` is the `stride` weights from `id · stride`. A sparse model reads and writes
//! a few dozen rows a token, scattered over the whole table, so each method takes a
//! list of ids and goes through it once.

use std::fmt;

use super::kernel::{Kernels, RowCells};
use super::{Lists, WeightsView};

/// A view of shared weights as rows of equal length.
///
/// # Memory model
///
/// As for [`SharedWeights`](super::SharedWeights): every weight is loaded and stored on
/// its own, relaxed, in no particular order, so a row may be read while another thread
/// is half way through writing it. An id that occurs twice in a list is applied twice,
/// the second time to the result of the first.
///
/// A method that panics over an id has done its work for the ids before it.
///
/// ```
/// use asyn_core::shared::SharedWeights;
///
/// let weights = SharedWeights::zeroed(4 * 24);
/// let rows = weights.rows(0, 4, 24);
/// rows.add_rows(&[0, 3, 3], 0.5, &[1.0; 24]);
/// let mut sum = [0.0; 24];
/// rows.sum_rows(&[0, 1, 3], &mut sum);
/// assert_eq!(sum, [1.5; 24]);
/// ```
#[derive(Clone, Copy)]
pub struct RowsView<'a> {
    /// Invariant: the cells start on a cache line and are a multiple of the stride,
    /// which is a positive multiple of 8.
    pub(super) rows: RowCells<'a>,
    /// Invariant: supported by this processor.
    pub(super) kernels: &'static Kernels,
}

impl<'a> RowsView<'a> {
    #[inline]
    pub(super) fn new(rows: RowCells<'a>, kernels: &'static Kernels) -> Self {
        debug_assert!((rows.cells.as_ptr() as usize).is_multiple_of(64));
        Self { rows, kernels }
    }

    /// Returns the number of rows.
    #[inline]
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows.n_rows
    }

    /// Returns the weights in a row.
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.rows.stride
    }

    /// Returns row `id`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline]
    #[must_use]
    pub fn row(&self, id: u32) -> WeightsView<'a> {
        let (n_rows, stride) = (self.rows.n_rows, self.rows.stride);
        assert!((id as usize) < n_rows, "row {id} of {n_rows}");
        let start = id as usize * stride;
        WeightsView::new(&self.rows.cells[start..start + stride], self.kernels)
    }

    /// Stores the sum of the rows `ids` in `out`: zero where there are none.
    ///
    /// # Panics
    ///
    /// If an id is out of range, or `out` is not as long as a row.
    #[inline]
    pub fn sum_rows(&self, ids: &[u32], out: &mut [f32]) {
        self.assert_row(out.len());
        self.sum_lists(None, Lists::new(ids, &[0, n_ids(ids)]), out, out.len());
    }

    /// Copies the rows `ids` to `out`, one after another.
    ///
    /// # Panics
    ///
    /// If an id is out of range, or `out` is not as long as all these rows.
    pub fn copy_rows(&self, ids: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), ids.len() * self.rows.stride, "one row for each id");
        // SAFETY: the kernels are supported and check the ids; there is room for each row.
        unsafe { (self.kernels.copy_rows)(&self.rows, ids, out) }
    }

    /// Adds `a · values` to each of the rows `ids`.
    ///
    /// # Panics
    ///
    /// If an id is out of range, or `values` is not as long as a row.
    #[inline]
    pub fn add_rows(&self, ids: &[u32], a: f32, values: &[f32]) {
        self.add_lists(None, Lists::new(ids, &[0, n_ids(ids)]), a, &[1.0], values);
    }

    /// Replaces the row `ids[i]` by `keep[i] · row + rate[i] · values`, for each `i`.
    ///
    /// # Panics
    ///
    /// If an id is out of range, `keep` or `rate` is not as long as `ids`, or `values`
    /// is not as long as a row.
    #[inline]
    pub fn blend_rows(&self, ids: &[u32], keep: &[f32], rate: &[f32], values: &[f32]) {
        self.blend_lists(None, Lists::new(ids, &[0, n_ids(ids)]), keep, rate, values);
    }

    /// Adds `a · values` to each of the rows `ids` by compare-and-exchange: no
    /// concurrent change is lost.
    ///
    /// # Panics
    ///
    /// If an id is out of range, or `values` is not as long as a row.
    pub fn add_rows_cas(&self, ids: &[u32], a: f32, values: &[f32]) {
        self.add_lists_cas(None, Lists::new(ids, &[0, n_ids(ids)]), a, &[1.0], values);
    }

    /// Replaces the row `ids[i]` by `keep[i] · row + rate[i] · values`, for each `i`,
    /// by compare-and-exchange: no concurrent change is lost.
    ///
    /// # Panics
    ///
    /// As [`blend_rows`](Self::blend_rows).
    pub fn blend_rows_cas(&self, ids: &[u32], keep: &[f32], rate: &[f32], values: &[f32]) {
        self.blend_lists_cas(None, Lists::new(ids, &[0, n_ids(ids)]), keep, rate, values);
    }

    #[inline]
    #[track_caller]
    fn assert_row(&self, len: usize) {
        assert_eq!(self.rows.stride, len, "a row and the values differ in length");
    }
}

/// Returns the number of ids, as offsets count them.
fn n_ids(ids: &[u32]) -> u32 {
    u32::try_from(ids.len()).expect("a list of ids is short")
}

impl fmt::Debug for RowsView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsView")
            .field("n_rows", &self.n_rows())
            .field("stride", &self.stride())
            .finish_non_exhaustive()
    }
}
