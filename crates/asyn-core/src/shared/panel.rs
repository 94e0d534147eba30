//! Matrices in panels, for products with live weights.
//!
//! The matrix `W` of `k × n` is stored as `⌈n / 16⌉` panels of `k × 16`: panel `p`
//! holds columns `16 p` to `16 p + 15`, row after row, so that a product walks through
//! memory in order, one cache line a row. Columns from `n` on are padding: they take
//! part like any other and stay zero as long as the errors given for them are zero.
//!
//! With `t` input vectors (`N = 16 ⌈n / 16⌉`, all row-major):
//!
//! | Method        | Computes          | Shapes                                |
//! | ------------- | ----------------- | ------------------------------------- |
//! | `gemm`        | `Y = X W`         | `X`: `t × k`, `Y`: `t × N`            |
//! | `gemm_t`      | `dX = dY Wᵀ`      | `dY`: `t × N`, `dX`: `t × k`          |
//! | `rank_update` | `W += a Xᵀ dY`    | `X`: `t × k`, `dY`: `t × N`           |
//! | `rank_adam_step` | a step of Adam with `Xᵀ dY` | the same                 |

use std::fmt;

use super::LINE;
use super::adam::AdamStep;
use super::kernel::{Kernels, PanelCells};

/// A view of a shared matrix that is stored as panels of 16 columns.
///
/// # Memory model
///
/// As for [`SharedWeights`](super::SharedWeights): products read the live weights, each
/// on its own, relaxed; a large product may read one weight several times and see it
/// change. [`rank_update`](Self::rank_update) and [`rank_adam_step`](Self::rank_adam_step)
/// load, add and store; a concurrent store to the same weight or moment may be lost.
///
/// ```
/// use asyn_core::shared::SharedWeights;
///
/// let mut weights = SharedWeights::zeroed(2 * 16);
/// weights.as_mut_slice()[..2].copy_from_slice(&[1.0, 2.0]); // row 0
/// weights.as_mut_slice()[16..18].copy_from_slice(&[3.0, 4.0]); // row 1
/// let matrix = weights.panels(0, 2, 2);
/// let mut y = [0.0; 16];
/// matrix.gemm(&[1.0, 10.0], 1, &mut y);
/// assert_eq!(y[..2], [31.0, 42.0]);
/// ```
#[derive(Clone, Copy)]
pub struct PanelView<'a> {
    /// Invariant: the cells start on a cache line and are a multiple of a panel, which
    /// is not empty.
    panels: PanelCells<'a>,
    n: usize,
    /// Invariant: supported by this processor.
    kernels: &'static Kernels,
}

impl<'a> PanelView<'a> {
    #[inline]
    pub(super) fn new(panels: PanelCells<'a>, n: usize, kernels: &'static Kernels) -> Self {
        debug_assert!((panels.cells.as_ptr() as usize).is_multiple_of(64));
        Self { panels, n, kernels }
    }

    /// Returns the rows of the matrix: the length of an input vector.
    #[inline]
    #[must_use]
    pub fn k(&self) -> usize {
        self.panels.k
    }

    /// Returns the columns of the matrix, without padding.
    #[inline]
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Returns the columns of the matrix with padding: the length of an output vector.
    #[inline]
    #[must_use]
    pub fn n_padded(&self) -> usize {
        self.n.next_multiple_of(LINE)
    }

    /// Computes `Y = X W`, for `t` rows of `X`.
    ///
    /// # Panics
    ///
    /// If `x` is not `t × k` or `y` is not `t × n_padded`.
    pub fn gemm(&self, x: &[f32], t: usize, y: &mut [f32]) {
        self.assert_shapes(x, y, t);
        // SAFETY: the kernels are supported and the shapes agree.
        unsafe { (self.kernels.gemm)(&self.panels, x, t, y) }
    }

    /// Computes `Y += X W`, for `t` rows of `X`.
    ///
    /// # Panics
    ///
    /// If `x` is not `t × k` or `y` is not `t × n_padded`.
    pub fn gemm_add(&self, x: &[f32], t: usize, y: &mut [f32]) {
        self.assert_shapes(x, y, t);
        // SAFETY: the kernels are supported and the shapes agree.
        unsafe { (self.kernels.gemm_add)(&self.panels, x, t, y) }
    }

    /// Computes `dX = dY Wᵀ`, for `t` rows of `dY`.
    ///
    /// # Panics
    ///
    /// If `dy` is not `t × n_padded` or `dx` is not `t × k`.
    pub fn gemm_t(&self, dy: &[f32], t: usize, dx: &mut [f32]) {
        self.assert_shapes(dx, dy, t);
        // SAFETY: the kernels are supported and the shapes agree.
        unsafe { (self.kernels.gemm_t)(&self.panels, dy, t, dx) }
    }

    /// Computes `W += a Xᵀ dY`, for `t` rows of both, without a buffer for the gradient.
    ///
    /// # Panics
    ///
    /// If `x` is not `t × k` or `dy` is not `t × n_padded`.
    pub fn rank_update(&self, a: f32, x: &[f32], dy: &[f32], t: usize) {
        self.assert_shapes(x, dy, t);
        // SAFETY: the kernels are supported and the shapes agree.
        unsafe { (self.kernels.rank_update)(&self.panels, a, x, dy, t) }
    }

    /// Takes a step of Adam with the gradient `Xᵀ dY`, for `t` rows of both, on this matrix and
    /// its moments `[m, v]`, without a buffer for the gradient.
    ///
    /// ```
    /// use asyn_core::shared::{AdamStep, SharedWeights};
    ///
    /// let [w, m, v] = [0; 3].map(|_| SharedWeights::zeroed(16));
    /// let step = AdamStep {
    ///     rate: 0.5, beta_1: 0.0, beta_2: 0.0, epsilon: 1e-8, limit: 1.0, scale: 1.0,
    /// };
    /// let moments = [&m.panels(0, 1, 16), &v.panels(0, 1, 16)];
    /// w.panels(0, 1, 16).rank_adam_step(moments, &step, &[3.0], &[2.0; 16], 1);
    /// assert_eq!(w.to_vec(), [-0.5; 16]);
    /// assert_eq!(v.to_vec(), [36.0; 16]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `x` is not `t × k`, `dy` is not `t × n_padded` or a moment has another shape.
    pub fn rank_adam_step(
        &self,
        moments: [&PanelView<'_>; 2],
        step: &AdamStep,
        x: &[f32],
        dy: &[f32],
        t: usize,
    ) {
        self.assert_shapes(x, dy, t);
        for moment in moments {
            let (shape, own) = ((moment.k(), moment.n()), (self.k(), self.n()));
            assert_eq!(shape, own, "a moment has another shape than the weights");
        }
        let wmv = [self.panels, moments[0].panels, moments[1].panels];
        // SAFETY: the kernels are supported and the shapes agree.
        unsafe { (self.kernels.rank_adam_step)(&wmv, step, x, dy, t) }
    }

    #[track_caller]
    fn assert_shapes(&self, inputs: &[f32], outputs: &[f32], t: usize) {
        let (n_inputs, n_outputs) = (t.checked_mul(self.k()), t.checked_mul(self.n_padded()));
        assert_eq!(Some(inputs.len()), n_inputs, "the inputs are not t × k");
        assert_eq!(Some(outputs.len()), n_outputs, "the outputs are not t × n, padded");
    }
}

impl fmt::Debug for PanelView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanelView")
            .field("k", &self.k())
            .field("n", &self.n())
            .finish_non_exhaustive()
    }
}
