//! Operations on lists of rows at once: all tokens of a sentence.

use std::sync::atomic::AtomicU32;

use super::LINE;
use super::kernel::{RowCells, SplitRows};
use super::rows::RowsView;
use super::view::WeightsView;

/// Lists of row ids: list `i` is `ids[offsets[i]..offsets[i + 1]]`.
///
/// ```
/// use asyn_core::shared::Lists;
///
/// let lists = Lists::new(&[4, 7, 9], &[0, 2, 3]);
/// assert_eq!(lists.len(), 2);
/// assert_eq!(lists.get(0), [4, 7]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    ids: &'a [u32],
    offsets: &'a [u32],
}

impl<'a> Lists<'a> {
    /// Makes lists from ids and the positions where each list starts, and the last ends.
    ///
    /// # Panics
    ///
    /// Panics if there is no offset, or the last is past the ids.
    #[must_use]
    pub fn new(ids: &'a [u32], offsets: &'a [u32]) -> Self {
        let end = *offsets.last().expect("at least one offset");
        assert!(end as usize <= ids.len(), "a list ends at {end}, there are {} ids", ids.len());
        Self { ids, offsets }
    }

    /// Returns the number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns true if there is no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the ids of list `i`.
    ///
    /// # Panics
    ///
    /// Panics if there is no such list.
    #[must_use]
    pub fn get(&self, i: usize) -> &'a [u32] {
        &self.ids[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// Returns all ids, as many as offsets cover.
    #[must_use]
    pub fn ids(&self) -> &'a [u32] {
        self.ids
    }

    /// Returns where each list starts, and the last ends.
    #[must_use]
    pub fn offsets(&self) -> &'a [u32] {
        self.offsets
    }
}

/// Asks for the cache line in which `cells` start.
#[inline]
fn prefetch_line(cells: &[AtomicU32]) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, feature = "portable"))))]
    // SAFETY: a prefetch changes nothing that a program can see, and faults on no address.
    unsafe {
        std::arch::asm!(
            "prefetcht1 [{line}]",
            line = in(reg) cells.as_ptr(),
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, feature = "portable"))))]
    // SAFETY: a prefetch changes nothing that a program can see, and faults on no address.
    unsafe {
        std::arch::asm!(
            "prfm pldl2keep, [{line}]",
            line = in(reg) cells.as_ptr(),
            options(nostack, preserves_flags, readonly),
        );
    }
    let _ = cells;
}

impl RowsView<'_> {
    /// Sets the start of `out[i * width..]` to the sum of the rows of list `i`, for each list.
    ///
    /// Rows that `hot` has are read from there.
    ///
    /// # Panics
    ///
    /// Panics if an id is out of range, `width` is less than a row, `out` is shorter than
    /// `width` floats a list, or `hot` has rows of another length.
    pub fn sum_lists(
        &self,
        hot: Option<&RowsView<'_>>,
        lists: Lists<'_>,
        out: &mut [f32],
        width: usize,
    ) {
        assert!(width >= self.stride(), "a sum has {} floats, not {width}", self.stride());
        // A product that wraps would let a kernel write beyond `out`.
        let n_floats = lists.len().checked_mul(width);
        assert!(n_floats.is_some_and(|n_floats| n_floats <= out.len()), "a sum for each list");
        let split = self.split(hot);
        // SAFETY: the kernels are supported and check the ids; there is room for each sum.
        unsafe { (self.kernels.sum_lists)(&split, lists.ids, lists.offsets, out, width) }
    }

    /// Adds `a · scales[i] · values[i]` to each row of list `i`, for each list.
    ///
    /// Rows that `hot` has are written there.
    ///
    /// # Panics
    ///
    /// Panics if an id is out of range, there is not one row of values and one scale for each
    /// list, or `hot` has rows of another length.
    pub fn add_lists(
        &self,
        hot: Option<&RowsView<'_>>,
        lists: Lists<'_>,
        a: f32,
        scales: &[f32],
        values: &[f32],
    ) {
        assert_eq!(scales.len(), lists.len(), "one scale for each list");
        self.assert_values(lists, values);
        let split = self.split(hot);
        // SAFETY: the kernels are supported and check the ids; each list has its values.
        unsafe {
            (self.kernels.add_lists)(&split, lists.ids, lists.offsets, a, scales, values);
        }
    }

    /// Replaces each row of list `i` by `keep · row + rate · values[i]`, for each list, with
    /// one `keep` and `rate` for each id.
    ///
    /// Rows that `hot` has are written there.
    ///
    /// # Panics
    ///
    /// Panics if an id is out of range, there is not one row of values for each list or not one
    /// `keep` and `rate` for each id, or `hot` has rows of another length.
    pub fn blend_lists(
        &self,
        hot: Option<&RowsView<'_>>,
        lists: Lists<'_>,
        keep: &[f32],
        rate: &[f32],
        values: &[f32],
    ) {
        assert_eq!(keep.len(), lists.ids.len(), "one factor to keep for each id");
        assert_eq!(rate.len(), lists.ids.len(), "one rate for each id");
        self.assert_values(lists, values);
        let split = self.split(hot);
        // SAFETY: the kernels are supported and check the ids; each list has its values, and
        // each id its factor and rate.
        unsafe {
            (self.kernels.blend_lists)(&split, lists.ids, lists.offsets, keep, rate, values);
        }
    }

    /// Asks for the rows of ascending `ids` to be brought into the second-level cache, where the
    /// processor can be asked; rows before `first` are taken to be there already.
    ///
    /// # Panics
    ///
    /// Panics if an id is out of range.
    #[inline]
    pub fn prefetch(&self, ids: &[u32], first: u32) {
        for &id in ids.iter().rev().take_while(|&&id| id >= first) {
            let start = id as usize * self.stride();
            let row = &self.rows.cells[start..start + self.stride()];
            for line in row.chunks(LINE) {
                prefetch_line(line);
            }
        }
    }

    /// As [`add_lists`](Self::add_lists), but by compare-and-exchange: no concurrent change is
    /// lost.
    ///
    /// # Panics
    ///
    /// As [`add_lists`](Self::add_lists).
    pub fn add_lists_cas(
        &self,
        hot: Option<&RowsView<'_>>,
        lists: Lists<'_>,
        a: f32,
        scales: &[f32],
        values: &[f32],
    ) {
        assert_eq!(scales.len(), lists.len(), "one scale for each list");
        self.assert_values(lists, values);
        for (i, (values, scale)) in values.chunks_exact(self.stride()).zip(scales).enumerate() {
            for &id in lists.get(i) {
                self.row_in(hot, id).add_scaled_cas(a * scale, values);
            }
        }
    }

    /// As [`blend_lists`](Self::blend_lists), but by compare-and-exchange: no concurrent change
    /// is lost.
    ///
    /// # Panics
    ///
    /// As [`blend_lists`](Self::blend_lists).
    pub fn blend_lists_cas(
        &self,
        hot: Option<&RowsView<'_>>,
        lists: Lists<'_>,
        keep: &[f32],
        rate: &[f32],
        values: &[f32],
    ) {
        assert_eq!(keep.len(), lists.ids.len(), "one factor to keep for each id");
        assert_eq!(rate.len(), lists.ids.len(), "one rate for each id");
        self.assert_values(lists, values);
        for (i, values) in values.chunks_exact(self.stride()).enumerate() {
            let range = lists.offsets[i] as usize..lists.offsets[i + 1] as usize;
            for at in range {
                let row = self.row_in(hot, lists.ids[at]);
                row.scale_add_cas(keep[at], rate[at], values);
            }
        }
    }

    fn row_in<'s>(&'s self, hot: Option<&'s RowsView<'_>>, id: u32) -> WeightsView<'s> {
        match hot {
            Some(hot) if (id as usize) < hot.n_rows() => hot.row(id),
            _ => self.row(id),
        }
    }

    fn assert_values(&self, lists: Lists<'_>, values: &[f32]) {
        assert_eq!(values.len(), lists.len() * self.stride(), "one row of values for each list");
    }

    fn split<'s>(&'s self, hot: Option<&'s RowsView<'_>>) -> SplitRows<'s> {
        let none = RowCells { cells: &[], n_rows: 0, stride: self.rows.stride };
        let hot = hot.map_or(none, |hot| hot.rows);
        assert_eq!(hot.stride, self.rows.stride, "rows of one length");
        SplitRows { hot, all: self.rows }
    }
}
