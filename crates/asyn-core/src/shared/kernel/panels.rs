//! Kernels on a matrix `W` of `k × n`, stored as panels of `k × 16`.
//!
//! All three products are cut into tiles whose sums stay in registers; `V` is a vector
//! of 16 floats, so that a row of a panel is one vector. With `t` rows of `X` and `Y`:
//!
//! | Kernel        | Tile of sums                                       | Inner loop over |
//! | ------------- | -------------------------------------------------- | --------------- |
//! | `gemm`        | `R` rows of `Y` × `C` panels                       | `k`             |
//! | `gemm_t`      | `R` rows of `dX` × `C` rows of `W`, summed at last | panels          |
//! | `rank_update` | `R` rows of `W` × `C` panels                       | `t`             |
//!
//! One step of an inner loop loads `R + C` vectors for `R · C` multiplications, so a tile
//! is about square, as large as the registers allow, and holds at least eight
//! independent sums to hide the latency of the multiplication (two a cycle, four cycles
//! each). The weights are read where they are: a tile of `gemm` walks down `C` panels in
//! the order in which they are stored.

use std::sync::atomic::AtomicU32;

use super::PanelCells;
use super::lanes::Lanes;
use crate::shared::LINE;

/// The bytes of panels that are used for all rows before the next ones: half of a
/// second-level cache of 1 MiB, the least among server processors with AVX-512.
const NEAR_BYTES: usize = 512 * 1024;

/// `Y = X W`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm<V: Lanes>(w: PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]) {
    // SAFETY: as the caller promises.
    unsafe { product::<V, false>(w, x, t, y) }
}

/// `Y += X W`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm_add<V: Lanes>(w: PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]) {
    // SAFETY: as the caller promises.
    unsafe { product::<V, true>(w, x, t, y) }
}

/// The operands of a product with a matrix in panels.
#[derive(Clone, Copy)]
struct Product {
    w: *const AtomicU32,
    k: usize,
    n: usize,
    x: *const f32,
    y: *mut f32,
}

/// `Y = X W`, or `Y += X W`.
///
/// Rows of `X` are taken in blocks of nearly equal height, as high as a tile can be.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
unsafe fn product<V: Lanes, const ADD: bool>(
    w: PanelCells<'_>,
    x: &[f32],
    t: usize,
    y: &mut [f32],
) {
    let PanelCells { cells, k } = w;
    let n_panels = cells.len() / (k * LINE);
    let product = Product {
        w: cells.as_ptr(),
        k,
        n: n_panels * LINE,
        x: x.as_ptr(),
        y: y.as_mut_ptr(),
    };
    let highest = if V::REGISTERS >= 32 { 9 } else { 6 };
    let n_blocks = t.div_ceil(highest);
    let n_near = (NEAR_BYTES / (k * LINE * size_of::<f32>())).max(16);
    // SAFETY: blocks and panels partition `Y`, and `X` has as many rows.
    unsafe {
        for first in (0..n_panels).step_by(n_near) {
            let end = n_panels.min(first + n_near);
            for block in 0..n_blocks {
                let row = block * t / n_blocks;
                let height = (block + 1) * t / n_blocks - row;
                let part = Product {
                    x: product.x.add(row * k),
                    y: product.y.add(row * product.n),
                    ..product
                };
                part.rows::<V, ADD>(height, first, end);
            }
        }
    }
}

impl Product {
    /// Computes `height` rows of the panels from `first` to `end`, with the tile that
    /// suits the height and the number of registers.
    ///
    /// # Safety
    ///
    /// `X` and `Y` have that many rows, `W` those panels, and `height` is at most the
    /// highest tile.
    #[inline(always)]
    unsafe fn rows<V: Lanes, const ADD: bool>(self, height: usize, first: usize, end: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            if V::REGISTERS >= 32 {
                match height {
                    1 => self.sweep::<V, ADD, 1, 8>(first, end),
                    2 => self.sweep::<V, ADD, 2, 8>(first, end),
                    3 => self.sweep::<V, ADD, 3, 8>(first, end),
                    4 => self.sweep::<V, ADD, 4, 6>(first, end),
                    5 => self.sweep::<V, ADD, 5, 5>(first, end),
                    6 => self.sweep::<V, ADD, 6, 4>(first, end),
                    7 => self.sweep::<V, ADD, 7, 3>(first, end),
                    8 => self.sweep::<V, ADD, 8, 3>(first, end),
                    _ => self.sweep::<V, ADD, 9, 3>(first, end),
                }
            } else {
                match height {
                    1 => self.sweep::<V, ADD, 1, 4>(first, end),
                    2 => self.sweep::<V, ADD, 2, 2>(first, end),
                    3 => self.sweep::<V, ADD, 3, 1>(first, end),
                    4 => self.sweep::<V, ADD, 4, 1>(first, end),
                    5 => self.sweep::<V, ADD, 5, 1>(first, end),
                    _ => self.sweep::<V, ADD, 6, 1>(first, end),
                }
            }
        }
    }

    /// Computes `R` rows, `C` panels at a time.
    ///
    /// # Safety
    ///
    /// As for [`rows`](Self::rows), with `R` rows.
    #[inline(always)]
    unsafe fn sweep<V: Lanes, const ADD: bool, const R: usize, const C: usize>(
        self,
        first: usize,
        end: usize,
    ) {
        let mut panel = first;
        // SAFETY: as the caller promises.
        unsafe {
            while panel + C <= end {
                self.tile::<V, ADD, R, C>(panel);
                panel += C;
            }
            while panel < end {
                self.tile::<V, ADD, R, 1>(panel);
                panel += 1;
            }
        }
    }

    /// Computes `R` rows of `C` panels.
    ///
    /// # Safety
    ///
    /// As for [`rows`](Self::rows), with `R` rows and panels `panel` to `panel + C`.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const ADD: bool, const R: usize, const C: usize>(self, panel: usize) {
        let Self { k, n, x, .. } = self;
        // SAFETY: as the caller promises, all rows and panels of the tile exist.
        unsafe {
            let w = self.w.add(panel * k * LINE);
            let y = self.y.add(panel * LINE);
            let mut sums = [[V::splat(0.0); C]; R];
            for i in 0..k {
                let mut weights = [V::splat(0.0); C];
                for (c, weights) in weights.iter_mut().enumerate() {
                    *weights = V::load_shared(w.add((c * k + i) * LINE));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*x.add(r * k + i));
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = x.mul_add(weights, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let out = y.add(r * n + c * LINE);
                    let sum = if ADD { sum.add(V::load(out)) } else { sum };
                    sum.store(out);
                }
            }
        }
    }
}

/// `dX = dY Wᵀ`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm_t<V: Lanes>(w: PanelCells<'_>, dy: &[f32], t: usize, dx: &mut [f32]) {
    let PanelCells { cells, k } = w;
    let n_panels = cells.len() / (k * LINE);
    let n = n_panels * LINE;
    // SAFETY: `row` and `i` stay in the matrices, as the caller promises.
    unsafe {
        for row in 0..t {
            for i in 0..k {
                let mut sum = V::splat(0.0);
                for panel in 0..n_panels {
                    let weights = V::load_shared(cells.as_ptr().add((panel * k + i) * LINE));
                    let dy = V::load(dy.as_ptr().add(row * n + panel * LINE));
                    sum = dy.mul_add(weights, sum);
                }
                *dx.as_mut_ptr().add(row * k + i) = sum.sum();
            }
        }
    }
}

/// `W += a Xᵀ dY`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn rank_update<V: Lanes>(
    w: PanelCells<'_>,
    a: f32,
    x: &[f32],
    dy: &[f32],
    t: usize,
) {
    let PanelCells { cells, k } = w;
    let n_panels = cells.len() / (k * LINE);
    let n = n_panels * LINE;
    // SAFETY: `row` and `i` stay in the matrices, as the caller promises.
    unsafe {
        for panel in 0..n_panels {
            for i in 0..k {
                let mut sum = V::splat(0.0);
                for row in 0..t {
                    let dy = V::load(dy.as_ptr().add(row * n + panel * LINE));
                    sum = dy.mul_add(V::splat(x[row * k + i]), sum);
                }
                let at = cells.as_ptr().add((panel * k + i) * LINE);
                sum.mul_add(V::splat(a), V::load_shared(at))
                    .store_shared(at);
            }
        }
    }
}
