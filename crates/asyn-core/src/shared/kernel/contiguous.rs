//! Kernels on contiguous weights `w`, of `n` floats.
//!
//! Weights start on a half cache line (32 bytes), so a walk over them is: one half
//! vector where the start is not on a whole line, whole vectors, one half vector, and
//! single floats at the end. [`walk`] does that for any [`Step`].

use std::sync::atomic::AtomicU32;

use super::lanes::Lanes;
use super::panels::{Adam, Apply};
use super::rows::{Strip, strips};
use crate::shared::{AdamStep, HALF_LINE, MissedSteps};

/// What a kernel does with the `V::N` weights at `w + i`.
trait Step {
    /// # Safety
    ///
    /// - As for [`Lanes`], with `w` a pointer to shared memory.
    /// - The private memory of the step is valid from `i` to `i + V::N`.
    unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize);

    /// As [`at`](Self::at), for the two vectors from `w + i` on.
    ///
    /// # Safety
    ///
    /// As for both.
    #[inline(always)]
    unsafe fn at_two<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            self.at::<V>(w, i);
            self.at::<V>(w.add(V::N), i + V::N);
        }
    }
}

/// Takes `step` over all of `w`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels), and the private memory of the step is as long as
/// `w`.
#[inline(always)]
unsafe fn walk<V: Lanes, S: Step>(w: &[AtomicU32], mut step: S) {
    let (n, w) = (w.len(), w.as_ptr());
    let mut i = 0;
    // SAFETY: every access ends at or before `n`. Starting on a multiple of 32 bytes,
    // `i` moves by one half vector to a whole line, then by whole vectors, then by half
    // a vector, so each access is aligned to its size.
    unsafe {
        if !starts_on_line::<V>(w) && n >= HALF_LINE {
            step.at::<V::Half>(w, 0);
            i = HALF_LINE;
        }
        while n - i >= 4 * V::N {
            step.at_two::<V>(w.add(i), i);
            step.at_two::<V>(w.add(i + 2 * V::N), i + 2 * V::N);
            i += 4 * V::N;
        }
        while n - i >= V::N {
            step.at::<V>(w.add(i), i);
            i += V::N;
        }
        if n - i >= HALF_LINE {
            step.at::<V::Half>(w.add(i), i);
            i += HALF_LINE;
        }
        while i < n {
            step.at::<f32>(w.add(i), i);
            i += 1;
        }
    }
}

/// Returns whether `w` may be accessed in whole vectors.
#[inline(always)]
fn starts_on_line<V: Lanes>(w: *const AtomicU32) -> bool {
    (w as usize).is_multiple_of(V::N * size_of::<f32>())
}

/// `out = w`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn read<V: Lanes>(w: &[AtomicU32], out: &mut [f32]) {
    struct Read(*mut f32);
    impl Step for Read {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe { V::load_shared(w).store(self.0.add(i)) }
        }
    }
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk::<V, _>(w, Read(out.as_mut_ptr())) }
}

/// `w = x`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn write<V: Lanes>(w: &[AtomicU32], x: &[f32]) {
    struct Write(*const f32);
    impl Step for Write {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe { V::load(self.0.add(i)).store_shared(w) }
        }
    }
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk::<V, _>(w, Write(x.as_ptr())) }
}

/// `w = w + a x`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn add_scaled<V: Lanes>(w: &[AtomicU32], a: f32, x: &[f32]) {
    struct AddScaled(f32, *const f32);
    impl Step for AddScaled {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                let x = V::load(self.1.add(i));
                x.mul_add(V::splat(self.0), V::load_shared(w)).store_shared(w);
            }
        }

        #[inline(always)]
        unsafe fn at_two<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                let x = [V::load(self.1.add(i)), V::load(self.1.add(i + V::N))];
                V::add_scaled_shared_two(w, V::splat(self.0), x);
            }
        }
    }
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk::<V, _>(w, AddScaled(a, x.as_ptr())) }
}

/// `w = keep w + a x`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn scale_add<V: Lanes>(w: &[AtomicU32], keep: f32, a: f32, x: &[f32]) {
    struct ScaleAdd(f32, f32, *const f32);
    impl Step for ScaleAdd {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                let kept = V::load_shared(w).mul(V::splat(self.0));
                let x = V::load(self.2.add(i));
                x.mul_add(V::splat(self.1), kept).store_shared(w);
            }
        }
    }
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk::<V, _>(w, ScaleAdd(keep, a, x.as_ptr())) }
}

/// `w = local = base = w + (local − base)`.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn merge<V: Lanes>(w: &[AtomicU32], local: &[AtomicU32], base: &mut [f32]) {
    struct Merge(*const AtomicU32, *mut f32);
    impl Step for Merge {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                let (local, base) = (self.0.add(i), self.1.add(i));
                let gained = V::load_shared(local).sub(V::load(base));
                let merged = V::load_shared(w).add(gained);
                merged.store_shared(w);
                merged.store_shared(local);
                merged.store(base);
            }
        }
    }
    let both_on_line = starts_on_line::<V>(w.as_ptr()) == starts_on_line::<V>(local.as_ptr());
    let step = Merge(local.as_ptr(), base.as_mut_ptr());
    // SAFETY: the caller gives slices of equal length. Where only one of the two starts
    // on a whole line, half vectors keep every access aligned.
    unsafe {
        if both_on_line {
            walk::<V, _>(w, step);
        } else {
            walk::<V::Half, _>(w, step);
        }
    }
}

/// A step of Adam with the gradient `g` on `wmv`, the weights and their two moments.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn adam_step<V: Lanes>(wmv: &[&[AtomicU32]; 3], step: &AdamStep, g: &[f32]) {
    struct Gradient([*const AtomicU32; 2], AdamStep, *const f32);
    impl Step for Gradient {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                let [m, v] = self.0.map(|moment| moment.add(i));
                let adam = Adam { wmv: [w, m, v], step: self.1 };
                adam.apply(0, V::load(self.2.add(i)));
            }
        }
    }
    let moments = [wmv[1].as_ptr(), wmv[2].as_ptr()];
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk_three::<V, _>(wmv, Gradient(moments, *step, g.as_ptr())) }
}

/// `missed` steps of Adam on `wmv`, the weights and their two moments.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn adam_catch_up<V: Lanes>(wmv: &[&[AtomicU32]; 3], missed: &MissedSteps<'_>) {
    struct CatchUp<'a>([*const AtomicU32; 2], &'a MissedSteps<'a>);
    impl Step for CatchUp<'_> {
        #[inline(always)]
        unsafe fn at<V: Lanes>(&mut self, w: *const AtomicU32, i: usize) {
            let MissedSteps { terms, epsilon, limit, keep } = *self.1;
            // SAFETY: as the caller promises.
            unsafe {
                let [m, v] = self.0.map(|moment| moment.add(i));
                let second = V::load_shared(v);
                let (root, epsilon) = (second.sqrt(), V::splat(epsilon));
                let limit = root.add(epsilon).mul(V::splat(limit));
                let first = V::load_shared(m).clamp(limit);
                let mut sum = V::splat(0.0);
                for &[a, b] in terms {
                    sum = sum.add(V::splat(a).div(root.mul_add(V::splat(b), epsilon)));
                }
                V::load_shared(w).sub(first.mul(sum)).store_shared(w);
                first.mul(V::splat(keep[0])).normal().store_shared(m);
                second.mul(V::splat(keep[1])).normal().store_shared(v);
            }
        }
    }
    let moments = [wmv[1].as_ptr(), wmv[2].as_ptr()];
    // SAFETY: the caller gives slices of equal length.
    unsafe { walk_three::<V, _>(wmv, CatchUp(moments, missed)) }
}

/// Takes `step` over weights and their moments.
///
/// # Safety
///
/// As for [`walk`], with three slices of equal length.
#[inline(always)]
unsafe fn walk_three<V: Lanes, S: Step>(wmv: &[&[AtomicU32]; 3], step: S) {
    let [w, m, v] = wmv.map(|cells| starts_on_line::<V>(cells.as_ptr()));
    // SAFETY: as the caller promises. Where not all three start at the same place of a line,
    // half vectors keep every access aligned.
    unsafe {
        if w == m && w == v {
            walk::<V, _>(wmv[0], step);
        } else {
            walk::<V::Half, _>(wmv[0], step);
        }
    }
}

/// Returns the inner product of `w` and `x`.
///
/// Four partial sums hide the latency of the addition.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn dot<V: Lanes>(w: &[AtomicU32], x: &[f32]) -> f32 {
    let (mut n, mut w, mut x) = (w.len(), w.as_ptr(), x.as_ptr());
    let mut rest = 0.0;
    // SAFETY: as in `walk`; `w` and `x` advance together, with `n` floats ahead of them.
    unsafe {
        let mut sums = [V::splat(0.0); 4];
        if !starts_on_line::<V>(w) && n >= HALF_LINE {
            rest = V::Half::load_shared(w).mul(V::Half::load(x)).sum();
            (w, x, n) = (w.add(HALF_LINE), x.add(HALF_LINE), n - HALF_LINE);
        }
        while n >= 4 * V::N {
            for (c, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let at = 2 * c * V::N;
                let [low, high] = V::load_shared_two(w.add(at));
                sums[0] = low.mul_add(V::load(x.add(at)), sums[0]);
                sums[1] = high.mul_add(V::load(x.add(at + V::N)), sums[1]);
            }
            (w, x, n) = (w.add(4 * V::N), x.add(4 * V::N), n - 4 * V::N);
        }
        while n >= V::N {
            sums[0] = V::load_shared(w).mul_add(V::load(x), sums[0]);
            (w, x, n) = (w.add(V::N), x.add(V::N), n - V::N);
        }
        if n >= HALF_LINE {
            rest += V::Half::load_shared(w).mul(V::Half::load(x)).sum();
            (w, x, n) = (w.add(HALF_LINE), x.add(HALF_LINE), n - HALF_LINE);
        }
        for i in 0..n {
            rest += f32::load_shared(w.add(i)) * *x.add(i);
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum() + rest
    }
}

/// `y = W x`, with `W` of `y.len() × x.len()`.
///
/// Four rows at a time, with two partial sums each, share the loads of `x`. Rows that
/// are not a multiple of 8 long do not start where a vector may, and are read as single
/// floats.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemv<V: Lanes>(w: &[AtomicU32], x: &[f32], y: &mut [f32]) {
    let n = x.len();
    // SAFETY: the caller gives a matrix of `y.len() × n`. The rows are read in vectors
    // that divide their length and whose size divides the start.
    unsafe {
        let room = V::REGISTERS >= 16;
        if room && n.is_multiple_of(V::N) && starts_on_line::<V>(w.as_ptr()) {
            gemv_in_vectors::<V>(w.as_ptr(), x, y);
        } else if n.is_multiple_of(HALF_LINE) {
            gemv_in_vectors::<V::Half>(w.as_ptr(), x, y);
        } else {
            gemv_in_vectors::<f32>(w.as_ptr(), x, y);
        }
    }
}

/// As [`gemv`], for rows of whole vectors.
///
/// # Safety
///
/// `w` is a valid matrix of `y.len() × x.len()`, and aligned to whole vectors, of which
/// its rows are a multiple.
#[inline(always)]
unsafe fn gemv_in_vectors<V: Lanes>(w: *const AtomicU32, x: &[f32], y: &mut [f32]) {
    let n = x.len();
    let mut rows = y.chunks_exact_mut(4);
    let mut w = w;
    // SAFETY: `w` advances by the rows written to `y`, and `i` and `c` stay in a row.
    unsafe {
        for y in &mut rows {
            let mut sums = [[V::splat(0.0); 2]; 4];
            let mut i = 0;
            while i + 2 * V::N <= n {
                let xs = [V::load(x.as_ptr().add(i)), V::load(x.as_ptr().add(i + V::N))];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let [low, high] = V::load_shared_two(w.add(r * n + i));
                    sums[0] = low.mul_add(xs[0], sums[0]);
                    sums[1] = high.mul_add(xs[1], sums[1]);
                }
                i += 2 * V::N;
            }
            if i < n {
                let xs = V::load(x.as_ptr().add(i));
                for (r, sums) in sums.iter_mut().enumerate() {
                    sums[0] = V::load_shared(w.add(r * n + i)).mul_add(xs, sums[0]);
                }
            }
            for (y, sums) in y.iter_mut().zip(sums) {
                *y = sums[0].add(sums[1]).sum();
            }
            w = w.add(4 * n);
        }
        for y in rows.into_remainder() {
            let mut sum = V::splat(0.0);
            let mut i = 0;
            while i < n {
                sum = V::load_shared(w.add(i)).mul_add(V::load(x.as_ptr().add(i)), sum);
                i += V::N;
            }
            *y = sum.sum();
            w = w.add(n);
        }
    }
}

/// `y = Wᵀ x`, with `W` of `x.len() × y.len()`.
///
/// A strip of columns at a time, whose sums stay in registers over all rows.
///
/// # Safety
///
/// As for [`Kernels`](super::Kernels).
#[inline(always)]
pub(super) unsafe fn gemv_t<V: Lanes>(w: &[AtomicU32], x: &[f32], y: &mut [f32]) {
    let n = y.len();
    let step = Columns { w: w.as_ptr(), n, x, y: y.as_mut_ptr() };
    // SAFETY: as in `gemv`.
    unsafe {
        if n.is_multiple_of(V::N) && starts_on_line::<V>(w.as_ptr()) {
            strips::<V, _>(n, step);
        } else if n.is_multiple_of(HALF_LINE) {
            strips::<V::Half, _>(n, step);
        } else {
            strips::<f32, _>(n, step);
        }
    }
}

/// The arguments of [`gemv_t`].
struct Columns<'a> {
    w: *const AtomicU32,
    n: usize,
    x: &'a [f32],
    y: *mut f32,
}

impl Strip for Columns<'_> {
    #[inline(always)]
    unsafe fn at<V: Lanes, const C: usize>(&mut self, offset: usize) {
        // SAFETY: the strip lies in every row and in `y`, as the caller promises.
        unsafe {
            let mut sums = [V::splat(0.0); C];
            for (r, &x) in self.x.iter().enumerate() {
                let row = self.w.add(r * self.n + offset);
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load_shared(row.add(c * V::N)).mul_add(V::splat(x), *sum);
                }
            }
            for (c, sum) in sums.into_iter().enumerate() {
                sum.store(self.y.add(offset + c * V::N));
            }
        }
    }
}
