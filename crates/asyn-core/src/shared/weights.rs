//! The owner of the shared weights.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::kernel::{self, Kernels, PanelCells, RowCells};
use super::{HALF_LINE, Isa, LINE, PanelView, RowsView, WeightsView, isa, pages, trace};

/// The bytes in a cache line.
const LINE_BYTES: usize = LINE * size_of::<f32>();

/// The alignment that is asked of the allocator.
///
/// The standard allocator zeroes memory of a larger alignment by writing it, and so
/// touches every page; at 16 bytes it hands out fresh pages that are zero already.
/// The cells start on the first cache line inside such a block.
const BLOCK_ALIGN: usize = 16;

/// One vector of weights that many threads read and write at once.
///
/// The weights lie on a 64-byte boundary and are padded to a multiple of 16 floats, so
/// that a vector access never crosses a cache line.
///
/// # Memory model
///
/// Each weight is an `AtomicU32` that holds the bits of an `f32`. Through the views,
/// every access to a weight is a relaxed atomic load or store of that one weight, or a
/// vector instruction that does several of them in some order.
///
/// - A reader sees, for each weight on its own, a value that some thread stored there:
///   never a mixture of the bits of two.
/// - Different weights may be seen at different times; no order among them is promised.
/// - An addition is a load, an addition and a store. Of two at the same time one may be
///   lost, except through the operations that end in `_cas`.
/// - Joining a thread, or any other synchronisation between threads, makes all its
///   stores visible, as usual.
///
/// [`as_mut_slice`](Self::as_mut_slice) needs `&mut self`: the borrow proves that
/// nobody else looks.
///
/// ```
/// use asyn_core::shared::SharedWeights;
///
/// let weights = SharedWeights::zeroed(100);
/// std::thread::scope(|scope| {
///     for start in [0, 48] {
///         let view = weights.view(start, 48);
///         scope.spawn(move || view.add_scaled(0.5, &[1.0; 48]));
///     }
/// });
/// assert_eq!(weights.to_vec()[..96], [0.5; 96]);
/// ```
///
/// A plain slice cannot be had while a view is alive:
///
/// ```compile_fail,E0502
/// use asyn_core::shared::SharedWeights;
///
/// let mut weights = SharedWeights::zeroed(8);
/// let view = weights.view(0, 8);
/// weights.as_mut_slice()[0] = 1.0;
/// view.get(0);
/// ```
pub struct SharedWeights {
    /// The first cell, on a cache line.
    cells: NonNull<AtomicU32>,
    len: usize,
    /// The start of the allocation and what the allocator was asked for.
    block: NonNull<u8>,
    block_layout: Layout,
    kernels: &'static Kernels,
    traced: AtomicBool,
}

// SAFETY: the cells are atomics, which may be used from any thread, and the block is
// owned: it is freed once, by the only owner.
unsafe impl Send for SharedWeights {}

// SAFETY: through `&SharedWeights` the cells are accessed only as atomics.
unsafe impl Sync for SharedWeights {}

impl SharedWeights {
    /// Returns `len` weights of zero, without touching their pages.
    ///
    /// # Panics
    ///
    /// If `len` floats are more than an address space can hold.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self::with_isa(len, isa())
    }

    /// Returns `len` weights of zero whose views use the kernels of `isa`.
    ///
    /// # Panics
    ///
    /// If `isa` is not supported here, or as [`zeroed`](Self::zeroed).
    #[doc(hidden)]
    #[must_use]
    pub fn with_isa(len: usize, isa: Isa) -> Self {
        let n_lines = len.div_ceil(LINE).max(1);
        let block_layout = n_lines
            .checked_mul(LINE_BYTES)
            .and_then(|n_bytes| n_bytes.checked_add(LINE_BYTES - BLOCK_ALIGN))
            .and_then(|n_bytes| Layout::from_size_align(n_bytes, BLOCK_ALIGN).ok())
            .expect("the weights fit into the address space");
        // SAFETY: the size is not zero: there is at least one line.
        let block = unsafe { alloc_zeroed(block_layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(block_layout) };
        // SAFETY: the block was just allocated with this size.
        unsafe { pages::prefer_large(block.as_ptr(), block_layout.size()) };
        let before_line = block.as_ptr().align_offset(LINE_BYTES);
        assert!(before_line <= LINE_BYTES - BLOCK_ALIGN);
        // SAFETY: the block starts on a multiple of 16 bytes, so the next line starts at
        // most 48 bytes later (asserted), and that many were added to its size.
        let cells = unsafe { block.add(before_line) }.cast();
        let kernels = kernel::table(isa);
        Self { cells, len, block, block_layout, kernels, traced: AtomicBool::new(false) }
    }

    /// Returns the number of weights.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no weights.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the instruction set that the views of these weights use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.kernels.isa
    }

    /// Decides whether views made from now on tell the watcher of their thread of every vector
    /// access.
    pub(crate) fn set_traced(&self, traced: bool) {
        self.traced.store(traced, Ordering::Relaxed);
    }

    /// Returns the weights as a plain slice, for initialisation and quiet points.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: `len` cells lie in the block and were zeroed or stored since; an
        // `AtomicU32` has the size and alignment of an `f32` and every bit pattern is a
        // float; the exclusive borrow excludes every view.
        unsafe { std::slice::from_raw_parts_mut(self.cells.as_ptr().cast(), self.len) }
    }

    /// Returns the `len` weights from `start`.
    ///
    /// # Panics
    ///
    /// If `start` is not a multiple of 8, or the weights are not all in range.
    #[inline]
    #[must_use]
    pub fn view(&self, start: usize, len: usize) -> WeightsView<'_> {
        assert!(start.is_multiple_of(HALF_LINE), "start {start} is not a multiple of 8");
        WeightsView::new(self.range(start, Some(len)), self.kernels())
    }

    /// Returns the `n_rows` rows of `stride` weights from `start`.
    ///
    /// # Panics
    ///
    /// If `start` is not a multiple of 16, `stride` is zero or not a multiple of 8, or
    /// the rows are not all in range.
    #[inline]
    #[must_use]
    pub fn rows(&self, start: usize, n_rows: usize, stride: usize) -> RowsView<'_> {
        assert!(start.is_multiple_of(LINE), "start {start} is not a multiple of 16");
        assert!(
            stride > 0 && stride.is_multiple_of(HALF_LINE),
            "stride {stride} is not a positive multiple of 8"
        );
        let cells = self.range(start, n_rows.checked_mul(stride));
        RowsView::new(RowCells { cells, n_rows, stride }, self.kernels())
    }

    /// Returns the matrix of `k × n` weights that is stored from `start` as
    /// `⌈n / 16⌉` panels of `k × 16`.
    ///
    /// # Panics
    ///
    /// If `start` is not a multiple of 16, `k` is zero, or the panels are not all in
    /// range.
    #[inline]
    #[must_use]
    pub fn panels(&self, start: usize, k: usize, n: usize) -> PanelView<'_> {
        assert!(start.is_multiple_of(LINE), "start {start} is not a multiple of 16");
        assert!(k > 0, "a matrix in panels has at least one row");
        let panel_len = k.checked_mul(LINE);
        let len = panel_len.and_then(|panel| panel.checked_mul(n.div_ceil(LINE)));
        PanelView::new(PanelCells { cells: self.range(start, len), k }, n, self.kernels())
    }

    /// Returns a copy of all weights.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.len];
        self.view(0, self.len).read_into(&mut values);
        values
    }

    /// Stores the weights of `other` here, one by one.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn copy_from(&self, other: &Self) {
        assert_eq!(self.len, other.len, "weights of different lengths");
        let mut part = [0.0; 1024];
        for start in (0..self.len).step_by(part.len()) {
            let len = part.len().min(self.len - start);
            other.view(start, len).read_into(&mut part[..len]);
            self.view(start, len).write_from(&part[..len]);
        }
    }

    /// Returns the cells of a range that is given by its start and, unless that
    /// overflowed, its length.
    #[inline]
    fn range(&self, start: usize, len: Option<usize>) -> &[AtomicU32] {
        let end = len.and_then(|len| start.checked_add(len));
        match end {
            Some(end) if end <= self.len => &self.cells()[start..end],
            _ => panic!("weights from {start} ({len:?} of them) out of {}", self.len),
        }
    }

    #[inline]
    fn kernels(&self) -> &'static Kernels {
        if self.traced.load(Ordering::Relaxed) {
            kernel::traced_table(self.kernels.isa)
        } else {
            self.kernels
        }
    }

    #[inline]
    fn cells(&self) -> &[AtomicU32] {
        // SAFETY: `len` cells lie in the block, which lives as long as `self`, and are
        // accessed only as atomics while it is borrowed as shared.
        unsafe { std::slice::from_raw_parts(self.cells.as_ptr(), self.len) }
    }
}

impl Drop for SharedWeights {
    fn drop(&mut self) {
        // SAFETY: the block came from the allocator with this layout and is freed once.
        unsafe { dealloc(self.block.as_ptr(), self.block_layout) }
    }
}

impl fmt::Debug for SharedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWeights").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Reads one weight.
#[inline]
pub(super) fn load(cell: &AtomicU32) -> f32 {
    f32::from_bits(cell.load(Ordering::Relaxed))
}

/// Writes one weight.
#[inline]
pub(super) fn store(cell: &AtomicU32, value: f32) {
    cell.store(value.to_bits(), Ordering::Relaxed);
}

/// Replaces one weight by `change` of it; no store of another thread is lost.
pub(super) fn exchange(cell: &AtomicU32, change: impl Fn(f32) -> f32) {
    trace::point(cell, trace::Kind::Exchange);
    let mut seen = cell.load(Ordering::Relaxed);
    loop {
        let next = change(f32::from_bits(seen)).to_bits();
        match cell.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_starts_on_a_cache_line_and_is_zero() {
        for len in 0..70 {
            let mut weights = SharedWeights::zeroed(len);
            assert_eq!(weights.cells.as_ptr() as usize % LINE_BYTES, 0);
            assert_eq!(weights.len(), len);
            assert_eq!(weights.is_empty(), len == 0);
            assert_eq!(weights.as_mut_slice(), vec![0.0; len]);
        }
    }

    #[test]
    fn a_copy_equals_its_source() {
        let mut source = SharedWeights::zeroed(2500);
        for (i, value) in source.as_mut_slice().iter_mut().enumerate() {
            *value = i as f32;
        }
        let copy = SharedWeights::zeroed(2500);
        copy.copy_from(&source);
        assert_eq!(copy.to_vec(), source.to_vec());
    }

    #[test]
    fn debug_prints_no_weights() {
        let text = format!("{:?}", SharedWeights::zeroed(1_000_000));
        assert_eq!(text, "SharedWeights { len: 1000000, .. }");
    }
}
