//! Contiguous weights: vectors and row-major matrices.

use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::adam::{AdamStep, MissedSteps};
use super::kernel::{self, Kernels};
use super::weights::{exchange, load, store};
use super::{HALF_LINE, trace};

/// A view of some shared weights that lie in a row.
///
/// # Memory model
///
/// As for [`SharedWeights`](super::SharedWeights): every weight is loaded and stored on
/// its own, relaxed, in no particular order. What a method reads may change while it
/// reads. Methods that change weights load, compute and store; a concurrent store to
/// the same weight may be lost, except in the methods that end in `_cas`.
///
/// ```
/// use asyn_core::shared::SharedWeights;
///
/// let weights = SharedWeights::zeroed(6);
/// let matrix = weights.view(0, 6); // 2 × 3, row-major
/// matrix.write_from(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let mut y = [0.0; 2];
/// matrix.gemv(&[1.0, 0.0, -1.0], &mut y);
/// assert_eq!(y, [-2.0, -2.0]);
/// ```
#[derive(Clone, Copy)]
pub struct WeightsView<'a> {
    /// Invariant: starts on a multiple of 32 bytes.
    cells: &'a [AtomicU32],
    /// Invariant: supported by this processor.
    kernels: &'static Kernels,
}

impl<'a> WeightsView<'a> {
    #[inline]
    pub(super) fn new(cells: &'a [AtomicU32], kernels: &'static Kernels) -> Self {
        debug_assert!((cells.as_ptr() as usize).is_multiple_of(32));
        Self { cells, kernels }
    }

    /// Returns the number of weights.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether there are no weights.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the weight at `index`.
    ///
    /// # Panics
    ///
    /// If `index` is out of range.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> f32 {
        load(&self.cells[index])
    }

    /// Stores `value` at `index`.
    ///
    /// # Panics
    ///
    /// If `index` is out of range.
    #[inline]
    pub fn set(&self, index: usize, value: f32) {
        store(&self.cells[index], value);
    }

    /// Copies all weights to `out`.
    ///
    /// # Panics
    ///
    /// If `out` has another length.
    #[inline]
    pub fn read_into(&self, out: &mut [f32]) {
        self.assert_len(out.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.read)(self.cells, out) }
    }

    /// Stores all of `values`.
    ///
    /// # Panics
    ///
    /// If `values` has another length.
    #[inline]
    pub fn write_from(&self, values: &[f32]) {
        self.assert_len(values.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.write)(self.cells, values) }
    }

    /// Copies the weights at `indices` to `out`; the first ones are read from `front`, as many as it
    /// has.
    ///
    /// # Panics
    ///
    /// If an index is out of range, or the lengths of `indices` and `out` differ.
    pub fn gather(&self, front: Option<&WeightsView<'_>>, indices: &[u32], out: &mut [f32]) {
        assert_eq!(indices.len(), out.len(), "one place for each index");
        if self.is_traced() {
            for (value, &index) in out.iter_mut().zip(indices) {
                let cell = self.traced(front, index, trace::Kind::Load);
                *value = load(cell);
            }
            return;
        }
        let Some(front) = front else {
            for (value, &index) in out.iter_mut().zip(indices) {
                *value = self.get(index as usize);
            }
            return;
        };
        for (value, &index) in out.iter_mut().zip(indices) {
            *value = load(&self.or_front(front, index)[index as usize]);
        }
    }

    /// Adds `a` times each of `values` to the weight at the place beside it in `indices`, one after
    /// another: a place that occurs twice gets both. The first ones are changed in `front`, as many
    /// as it has.
    ///
    /// # Panics
    ///
    /// If an index is out of range, or the lengths of `indices` and `values` differ.
    pub fn add_at(&self, front: Option<&WeightsView<'_>>, indices: &[u32], a: f32, values: &[f32]) {
        assert_eq!(indices.len(), values.len(), "one value for each index");
        if self.is_traced() {
            for (&index, value) in indices.iter().zip(values) {
                let cell = self.traced(front, index, trace::Kind::Load);
                let sum = load(cell) + a * value;
                store(self.traced(front, index, trace::Kind::Store), sum);
            }
            return;
        }
        let add = |cell: &AtomicU32, value: f32| store(cell, load(cell) + a * value);
        let Some(front) = front else {
            for (&index, &value) in indices.iter().zip(values) {
                add(&self.cells[index as usize], value);
            }
            return;
        };
        for (&index, &value) in indices.iter().zip(values) {
            add(&self.or_front(front, index)[index as usize], value);
        }
    }

    /// Returns the cells of `front` if it has the one at `index`, otherwise those of this view.
    #[inline(always)]
    fn or_front<'v>(&'v self, front: &'v WeightsView<'_>, index: u32) -> &'v [AtomicU32] {
        // A choice of two addresses, which the processor need not guess.
        if (index as usize) < front.cells.len() { front.cells } else { self.cells }
    }

    /// Returns the cell at `index`, of `front` if it has it, after telling the watcher of the thread of
    /// an access to it. A worker has `front` for itself, and nobody is told of that.
    fn traced<'v>(
        &'v self,
        front: Option<&'v WeightsView<'_>>,
        index: u32,
        kind: trace::Kind,
    ) -> &'v AtomicU32 {
        match front.and_then(|front| front.cells.get(index as usize)) {
            Some(own) => own,
            None => {
                let cell = &self.cells[index as usize];
                trace::point(cell, kind);
                cell
            }
        }
    }

    /// Returns the inner product with `x`.
    ///
    /// # Panics
    ///
    /// If `x` has another length.
    #[inline]
    #[must_use]
    pub fn dot(&self, x: &[f32]) -> f32 {
        self.assert_len(x.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.dot)(self.cells, x) }
    }

    /// Adds `a · x`.
    ///
    /// # Panics
    ///
    /// If `x` has another length.
    #[inline]
    pub fn add_scaled(&self, a: f32, x: &[f32]) {
        self.assert_len(x.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.add_scaled)(self.cells, a, x) }
    }

    /// Takes a step of Adam with `gradient` on these weights and their moments `[m, v]`.
    ///
    /// # Panics
    ///
    /// If a moment or the gradient has another length.
    pub fn adam_step(&self, moments: [&WeightsView<'_>; 2], step: &AdamStep, gradient: &[f32]) {
        self.assert_len(gradient.len());
        let wmv = self.with_moments(moments);
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.adam_step)(&wmv, step, gradient) }
    }

    /// Takes the `missed` steps of Adam on these weights and their moments `[m, v]`.
    ///
    /// # Panics
    ///
    /// If a moment has another length.
    pub fn adam_catch_up(&self, moments: [&WeightsView<'_>; 2], missed: &MissedSteps<'_>) {
        let wmv = self.with_moments(moments);
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.adam_catch_up)(&wmv, missed) }
    }

    fn with_moments<'v>(&'v self, moments: [&'v WeightsView<'_>; 2]) -> [&'v [AtomicU32]; 3] {
        let moments = moments.map(|moment| {
            self.assert_len(moment.len());
            moment.cells
        });
        [self.cells, moments[0], moments[1]]
    }

    /// Replaces the weights `w` by `keep · w + a · x`.
    ///
    /// # Panics
    ///
    /// If `x` has another length.
    #[inline]
    pub fn scale_add(&self, keep: f32, a: f32, x: &[f32]) {
        self.assert_len(x.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.scale_add)(self.cells, keep, a, x) }
    }

    /// Adds `a · x` by compare-and-exchange: no concurrent change is lost.
    ///
    /// # Panics
    ///
    /// If `x` has another length.
    pub fn add_scaled_cas(&self, a: f32, x: &[f32]) {
        self.assert_len(x.len());
        for (cell, &x) in self.cells.iter().zip(x) {
            exchange(cell, |w| w + a * x);
        }
    }

    /// Replaces the weights `w` by `keep · w + a · x` by compare-and-exchange: no
    /// concurrent change is lost.
    ///
    /// # Panics
    ///
    /// If `x` has another length.
    pub fn scale_add_cas(&self, keep: f32, a: f32, x: &[f32]) {
        self.assert_len(x.len());
        for (cell, &x) in self.cells.iter().zip(x) {
            exchange(cell, |w| keep * w + a * x);
        }
    }

    /// Stores `new`, and returns how many of the weights were no longer `old`, bit for bit.
    ///
    /// # Panics
    ///
    /// If `old` or `new` has another length.
    pub(crate) fn exchange(&self, old: &[f32], new: &[f32]) -> usize {
        self.assert_len(old.len());
        self.assert_len(new.len());
        let mut n_changed = 0;
        let lines =
            self.cells.chunks(HALF_LINE).zip(old.chunks(HALF_LINE).zip(new.chunks(HALF_LINE)));
        for (cells, (old, new)) in lines {
            trace::point(&raw const cells[0], trace::Kind::Store);
            for (cell, (old, new)) in cells.iter().zip(old.iter().zip(new)) {
                let (old, new) = (old.to_bits(), new.to_bits());
                if cell.compare_exchange(old, new, Relaxed, Relaxed).is_err() {
                    cell.store(new, Relaxed);
                    n_changed += 1;
                }
            }
        }
        n_changed
    }

    /// Computes `y = W x` for the row-major matrix `W` of `y.len() × x.len()`.
    ///
    /// It is fastest where the rows are a multiple of 16 long, and several times slower
    /// where they are not a multiple of 8.
    ///
    /// # Panics
    ///
    /// If the matrix has another size.
    #[inline]
    pub fn gemv(&self, x: &[f32], y: &mut [f32]) {
        self.assert_matrix(x.len(), y.len());
        // SAFETY: the kernels are supported and the matrix has the size of both vectors.
        unsafe { (self.kernels.gemv)(self.cells, x, y) }
    }

    /// Computes `y = Wᵀ x` for the row-major matrix `W` of `x.len() × y.len()`.
    ///
    /// It is fastest where the rows are a multiple of 16 long, and several times slower
    /// where they are not a multiple of 8.
    ///
    /// # Panics
    ///
    /// If the matrix has another size.
    #[inline]
    pub fn gemv_t(&self, x: &[f32], y: &mut [f32]) {
        self.assert_matrix(x.len(), y.len());
        // SAFETY: the kernels are supported and the matrix has the size of both vectors.
        unsafe { (self.kernels.gemv_t)(self.cells, x, y) }
    }

    /// Merges a replica: adds what `local` gained since `base`, then makes `local` and
    /// `base` equal to the sum.
    ///
    /// # Panics
    ///
    /// If `local` or `base` has another length.
    #[inline]
    pub fn merge(&self, local: &WeightsView<'_>, base: &mut [f32]) {
        self.assert_len(local.len());
        self.assert_len(base.len());
        // SAFETY: the kernels are supported and the lengths are equal.
        unsafe { (self.kernels.merge)(self.cells, local.cells, base) }
    }

    /// Says whether accesses are told to the watcher of the thread.
    fn is_traced(&self) -> bool {
        kernel::is_traced(self.kernels)
    }

    #[inline]
    #[track_caller]
    fn assert_matrix(&self, n: usize, m: usize) {
        let len = n.checked_mul(m);
        assert_eq!(len, Some(self.cells.len()), "the view is not a matrix of this size");
    }

    #[inline]
    #[track_caller]
    fn assert_len(&self, len: usize) {
        assert_eq!(self.cells.len(), len, "the view and the values differ in length");
    }
}

impl fmt::Debug for WeightsView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightsView").field("len", &self.len()).finish_non_exhaustive()
    }
}
