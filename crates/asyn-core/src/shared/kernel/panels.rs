//! Kernels on a matrix `W` of `k × n`, stored as panels of `k × 16`.
//!
//! All products are cut into tiles whose sums stay in registers; `V` is a vector
//! of 16 floats, so that a row of a panel is one vector. With `t` rows of `X` and `Y`:
//!
//! | Kernel        | Tile of sums                                       | Inner loop over |
//! | ------------- | -------------------------------------------------- | --------------- |
//! | `gemm`        | `R` rows of `Y` × `C` panels                       | `k`             |
//! | `gemm_t`      | `R` rows of `dX` × `C` rows of `W`, summed at last | panels          |
//! | `rank_update` | `R` rows of `W` × `C` panels                       | `t`             |
//!
//! `rank_adam_step` sums as `rank_update` does, and takes the step before the sums leave
//! their registers.
//!
//! One step of an inner loop loads `R + C` vectors for `R · C` multiplications, so a tile
//! is about square, as large as the registers allow, and holds at least eight
//! independent sums to hide the latency of the multiplication (two a cycle, four cycles
//! each). The weights are read where they are: a tile of `gemm` walks down `C` panels in
//! the order in which they are stored.

use std::sync::atomic::AtomicU32;

use super::PanelCells;
use super::lanes::Lanes;
use crate::shared::{AdamStep, LINE};

/// The bytes of panels that are used for all rows before the next ones: half of a
/// second-level cache of 1 MiB, the least among server processors with AVX-512.
const NEAR_BYTES: usize = 512 * 1024;

/// `Y = X W`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm<V: Lanes>(w: &PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]) {
    // SAFETY: as the caller promises.
    unsafe { product::<V, false>(w, x, t, y) }
}

/// `Y += X W`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm_add<V: Lanes>(w: &PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]) {
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
    w: &PanelCells<'_>,
    x: &[f32],
    t: usize,
    y: &mut [f32],
) {
    let PanelCells { cells, k } = *w;
    let n_panels = cells.len() / (k * LINE);
    let product =
        Product { w: cells.as_ptr(), k, n: n_panels * LINE, x: x.as_ptr(), y: y.as_mut_ptr() };
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
                    1 => self.sweep::<V, ADD, 1, 4>(first, end),
                    2 => self.sweep::<V, ADD, 2, 6>(first, end),
                    3 => self.sweep::<V, ADD, 3, 6>(first, end),
                    4 => self.sweep::<V, ADD, 4, 4>(first, end),
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

    /// Computes `R` rows, `C` panels at a time, and the last few by two and one.
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
            while C > 2 && panel + 2 <= end {
                self.tile::<V, ADD, R, 2>(panel);
                panel += 2;
            }
            if C > 1 && panel < end {
                self.tile::<V, ADD, R, 1>(panel);
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
/// A few rows of `W` are used for all rows of `dY` before the next ones.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemm_t<V: Lanes>(w: &PanelCells<'_>, dy: &[f32], t: usize, dx: &mut [f32]) {
    let PanelCells { cells, k } = *w;
    let product = TransposedProduct {
        w: cells.as_ptr(),
        k,
        n_panels: cells.len() / (k * LINE),
        t,
        dy: dy.as_ptr(),
        dx: dx.as_mut_ptr(),
    };
    // SAFETY: `W` has `k` rows, and the caller gives matching `dY` and `dX`.
    unsafe {
        if V::REGISTERS >= 32 {
            product.rows::<V, 3, 8>();
        } else {
            product.rows::<V, 1, 4>();
        }
    }
}

/// The operands of [`gemm_t`].
#[derive(Clone, Copy)]
struct TransposedProduct {
    w: *const AtomicU32,
    k: usize,
    n_panels: usize,
    t: usize,
    dy: *const f32,
    dx: *mut f32,
}

impl TransposedProduct {
    /// Computes all of `dX`, `R` of its rows for `C` rows of `W` at a time.
    ///
    /// # Safety
    ///
    /// The matrices are valid.
    #[inline(always)]
    unsafe fn rows<V: Lanes, const R: usize, const C: usize>(self) {
        let mut i = 0;
        // SAFETY: `i` stays below the number of rows.
        unsafe {
            while i + C <= self.k {
                self.columns::<V, R, C>(i);
                i += C;
            }
            while i < self.k {
                self.columns::<V, R, 1>(i);
                i += 1;
            }
        }
    }

    /// Computes `C` columns of `dX`, `R` rows at a time, and the last by two and one.
    ///
    /// # Safety
    ///
    /// The matrices are valid and `W` has rows `i` to `i + C`.
    #[inline(always)]
    unsafe fn columns<V: Lanes, const R: usize, const C: usize>(self, i: usize) {
        let mut row = 0;
        // SAFETY: `row` stays below the number of rows.
        unsafe {
            while row + R <= self.t {
                self.tile::<V, R, C>(row, i);
                row += R;
            }
            if R > 2 && row + 2 <= self.t {
                self.tile::<V, 2, C>(row, i);
                row += 2;
            }
            if row < self.t {
                self.tile::<V, 1, C>(row, i);
            }
        }
    }

    /// Computes `C` columns of `R` rows of `dX`.
    ///
    /// # Safety
    ///
    /// The matrices are valid, `dY` has rows `row` to `row + R`, and `W` has rows `i` to
    /// `i + C`.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const C: usize>(self, row: usize, i: usize) {
        let Self { k, n_panels, .. } = self;
        // SAFETY: as the caller promises, all rows of the tile exist.
        unsafe {
            let w = self.w.add(i * LINE);
            let dy = self.dy.add(row * n_panels * LINE);
            let dx = self.dx.add(row * k + i);
            let mut sums = [[V::splat(0.0); C]; R];
            for panel in 0..n_panels {
                let mut errors = [V::splat(0.0); R];
                for (r, errors) in errors.iter_mut().enumerate() {
                    *errors = V::load(dy.add((r * n_panels + panel) * LINE));
                }
                for c in 0..C {
                    let weights = V::load_shared(w.add((panel * k + c) * LINE));
                    for (sums, errors) in sums.iter_mut().zip(&errors) {
                        sums[c] = errors.mul_add(weights, sums[c]);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                let out = dx.add(r * k);
                let (fours, ones) = sums.as_chunks::<4>();
                for (c, &four) in fours.iter().enumerate() {
                    *out.add(4 * c).cast::<[f32; 4]>() = V::sum_each(four);
                }
                for (c, sum) in ones.iter().enumerate() {
                    *out.add(4 * fours.len() + c) = sum.sum();
                }
            }
        }
    }
}

/// `W += a Xᵀ dY`.
///
/// The errors of a few panels are used for all rows of `W` before the next ones.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn rank_update<V: Lanes>(
    w: &PanelCells<'_>,
    a: f32,
    x: &[f32],
    dy: &[f32],
    t: usize,
) {
    if t == 0 {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe { Outer::new(w, x, dy, t).apply::<V, _>(Addition { w: w.cells.as_ptr(), a }) }
}

/// A step of Adam with the gradient `Xᵀ dY`, on `W` and its moments `M` and `V`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels); the three matrices have one shape.
#[inline(always)]
pub(super) unsafe fn rank_adam_step<V: Lanes>(
    wmv: &[PanelCells<'_>; 3],
    step: &AdamStep,
    x: &[f32],
    dy: &[f32],
    t: usize,
) {
    let adam = Adam { wmv: wmv.map(|panels| panels.cells.as_ptr()), step: *step };
    // SAFETY: as the caller promises, for each of the three matrices.
    unsafe { Outer::new(&wmv[0], x, dy, t).apply::<V, _>(adam) }
}

/// What becomes of a vector of sums.
pub(super) trait Apply<V>: Copy {
    /// Changes the weights at `at` by `sum`.
    ///
    /// # Safety
    ///
    /// There are as many weights as the vector has floats, and `at` is a multiple of 16.
    unsafe fn apply(self, at: usize, sum: V);
}

/// `W += a · sum`.
#[derive(Clone, Copy)]
struct Addition {
    w: *const AtomicU32,
    a: f32,
}

impl<V: Lanes> Apply<V> for Addition {
    #[inline(always)]
    unsafe fn apply(self, at: usize, sum: V) {
        // SAFETY: as the caller promises.
        unsafe {
            let cells = self.w.add(at);
            sum.mul_add(V::splat(self.a), V::load_shared(cells)).store_shared(cells);
        }
    }
}

/// A step of Adam on the weights and their two moments.
#[derive(Clone, Copy)]
pub(super) struct Adam {
    pub(super) wmv: [*const AtomicU32; 3],
    pub(super) step: AdamStep,
}

impl<V: Lanes> Apply<V> for Adam {
    #[inline(always)]
    unsafe fn apply(self, at: usize, sum: V) {
        let AdamStep { rate, beta_1, beta_2, epsilon, limit, scale } = self.step;
        // SAFETY: as the caller promises.
        unsafe {
            let [w, m, v] = self.wmv.map(|cells| cells.add(at));
            let sum = sum.mul(V::splat(scale));
            let first =
                sum.mul(V::splat(1.0 - beta_1)).add(V::load_shared(m).mul(V::splat(beta_1)));
            let second = sum
                .mul(sum)
                .mul(V::splat(1.0 - beta_2))
                .add(V::load_shared(v).mul(V::splat(beta_2)));
            let (first, second) = (first.normal(), second.normal());
            first.store_shared(m);
            second.store_shared(v);
            let change = first.div(second.sqrt().add(V::splat(epsilon))).clamp(V::splat(limit));
            change.mul_add(V::splat(-rate), V::load_shared(w)).store_shared(w);
        }
    }
}

/// The factors of a gradient `Xᵀ dY`, and the shape of its matrix.
#[derive(Clone, Copy)]
struct Outer {
    k: usize,
    n: usize,
    t: usize,
    x: *const f32,
    dy: *const f32,
}

impl Outer {
    #[inline(always)]
    fn new(w: &PanelCells<'_>, x: &[f32], dy: &[f32], t: usize) -> Self {
        let n = w.cells.len() / w.k;
        Self { k: w.k, n, t, x: x.as_ptr(), dy: dy.as_ptr() }
    }

    /// Applies all of the gradient.
    ///
    /// # Safety
    ///
    /// `X` is `t × k` and `dY` is `t × n`; `apply` may be called for every vector of the
    /// matrix.
    #[inline(always)]
    unsafe fn apply<V: Lanes, A: Apply<V>>(self, apply: A) {
        let n_panels = self.n / LINE;
        let mut panel = 0;
        // SAFETY: tiles cover the panels, which the caller gives with matching `X` and `dY`.
        unsafe {
            if V::REGISTERS >= 32 {
                while panel + 3 <= n_panels {
                    self.columns::<V, A, 8, 3>(apply, panel);
                    panel += 3;
                }
                while panel < n_panels {
                    self.columns::<V, A, 8, 1>(apply, panel);
                    panel += 1;
                }
            } else {
                while panel < n_panels {
                    self.columns::<V, A, 4, 1>(apply, panel);
                    panel += 1;
                }
            }
        }
    }

    /// Updates `C` panels, `R` rows at a time, and the last few one at a time.
    ///
    /// # Safety
    ///
    /// Panels `panel` to `panel + C` exist.
    #[inline(always)]
    unsafe fn columns<V: Lanes, A: Apply<V>, const R: usize, const C: usize>(
        self,
        apply: A,
        panel: usize,
    ) {
        let mut i = 0;
        // SAFETY: `i` stays below the number of rows.
        unsafe {
            while i + R <= self.k {
                self.tile::<V, A, R, C>(apply, panel, i);
                i += R;
            }
            while i < self.k {
                self.tile::<V, A, 1, C>(apply, panel, i);
                i += 1;
            }
        }
    }

    /// Updates `R` rows of `C` panels.
    ///
    /// # Safety
    ///
    /// Panels `panel` to `panel + C` exist, and have rows `i` to `i + R`.
    #[inline(always)]
    unsafe fn tile<V: Lanes, A: Apply<V>, const R: usize, const C: usize>(
        self,
        apply: A,
        panel: usize,
        i: usize,
    ) {
        // SAFETY: as the caller promises, all rows and panels of the tile exist.
        unsafe {
            let x = self.x.add(i);
            let dy = self.dy.add(panel * LINE);
            let mut sums = [[V::splat(0.0); C]; R];
            for row in 0..self.t {
                let mut errors = [V::splat(0.0); C];
                for (c, errors) in errors.iter_mut().enumerate() {
                    *errors = V::load(dy.add(row * self.n + c * LINE));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*x.add(row * self.k + r));
                    for (sum, errors) in sums.iter_mut().zip(errors) {
                        *sum = x.mul_add(errors, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    apply.apply(((panel + c) * self.k + i + r) * LINE, sum);
                }
            }
        }
    }
}
