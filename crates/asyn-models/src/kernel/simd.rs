//! The few vector operations that the kernels of this crate need.
//!
//! | Instruction set | Lanes | Type          |
//! | --------------- | ----- | ------------- |
//! | AVX-512         | 16    | [`Avx512`]    |
//! | AVX2 and FMA    | 8     | [`Avx2`]      |
//! | any             | 8     | [`Portable`]  |
//!
//! A value of such a type is a proof that the CPU has the instructions: it is made
//! only by [`dispatch`], after detection. All methods are inlined into a function
//! that has the instruction set enabled, so each becomes one or two instructions.
//!
//! Sums over lanes and the polynomial of `exp` are the same on every set, but the
//! order of additions is not, so results differ in the last bits between sets.

#![allow(
    unsafe_code,
    reason = "vector intrinsics on private memory; each block says why it is sound"
)]
#![allow(
    clippy::inline_always,
    reason = "an operation must be inlined into code compiled for its instruction set"
)]

/// A vector of `LANES` floats and what can be done with it.
pub(crate) trait Simd: Copy {
    /// The number of floats in a vector.
    const LANES: usize;
    /// A vector.
    type V: Copy;

    fn splat(self, value: f32) -> Self::V;
    /// Loads the first `LANES` floats; panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::V;
    /// Stores to the first `LANES` floats; panics if there are fewer.
    fn store(self, value: Self::V, to: &mut [f32]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// Returns the larger of each pair, and `b` where one is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// Returns the smaller of each pair, and `b` where one is not a number.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Returns `a` with 0 in the lanes where `|a| < least`; what is not a number stays so.
    fn drop_below(self, a: Self::V, least: f32) -> Self::V;
    /// Returns `a` with 0 in the lanes where `key` is less than `least`, or not a number.
    fn keep_from(self, a: Self::V, key: Self::V, least: f32) -> Self::V;
    /// Where `candidate > best`, replaces `best` by it and `label` by `candidate_label`.
    fn keep_better(
        self,
        best: &mut Self::V,
        label: &mut Self::V,
        candidate: Self::V,
        candidate_label: Self::V,
    );
    /// Returns `a` with 1 subtracted in the lanes where `lane` equals `index`.
    fn sub_one_at(self, a: Self::V, lane: Self::V, index: f32) -> Self::V;
    /// Returns the sum of the lanes.
    fn sum(self, a: Self::V) -> f32;
    /// Returns the largest lane.
    fn largest(self, a: Self::V) -> f32;
    /// Rounds to the nearest integer.
    fn round(self, a: Self::V) -> Self::V;
    /// Returns `a 2ⁿ` for integers `n` in `-126..=127`.
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V;

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    /// Returns `exp(x)` for `x ≤ 0`, and exactly 0 for `x < least`; `least ≥ -80`.
    ///
    /// There are no denormal results, which would cost a hundred cycles each.
    #[inline(always)]
    fn exp_from(self, x: Self::V, least: f32) -> Self::V {
        let exp = self.exp(self.max(x, self.splat(-86.0)));
        self.keep_from(exp, x, least)
    }

    /// Returns `1 / (1 + exp(-x))`, with an absolute error below 1e-7.
    ///
    /// No result is below 1e-8, so products of a few of them are no denormals.
    #[inline(always)]
    fn sigmoid(self, x: Self::V) -> Self::V {
        // In this order a clamp keeps what is not a number.
        let negated = self.sub(self.zero(), x);
        let clamped = self.min(self.splat(18.0), self.max(self.splat(-18.0), negated));
        let one = self.splat(1.0);
        self.div(one, self.add(one, self.exp(clamped)))
    }

    /// Returns the hyperbolic tangent, with an absolute error below 2e-7.
    #[inline(always)]
    fn tanh(self, x: Self::V) -> Self::V {
        let sigmoid = self.sigmoid(self.add(x, x));
        self.mul_add(sigmoid, self.splat(2.0), self.splat(-1.0))
    }

    /// Returns `exp(x)` for `|x| ≤ 86`.
    ///
    /// Reduction to `|r| ≤ ln 2 / 2` and the degree-6 Taylor polynomial: its relative
    /// error is below 2e-7.
    #[inline(always)]
    fn exp(self, x: Self::V) -> Self::V {
        let n = self.round(self.mul(x, self.splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts (Cody and Waite), so that `n ln 2` is subtracted exactly.
        let r = self.mul_add(n, self.splat(-0.693_359_4), x);
        let r = self.mul_add(n, self.splat(2.121_944_4e-4), r);
        let mut p = self.splat(1.0 / 720.0);
        for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = self.mul_add(p, r, self.splat(coefficient));
        }
        self.scale_by_power(p, n)
    }
}

/// A computation that is generic over the instruction set.
pub(crate) trait Kernel {
    type Output;
    /// Runs the computation. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the instruction set that was chosen for this process.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match asyn_core::shared::isa() {
        // SAFETY: `isa` returns a set only after it was detected on this CPU.
        asyn_core::shared::Isa::Avx512 => return unsafe { x86::with_avx512(kernel) },
        // SAFETY: as above.
        asyn_core::shared::Isa::Avx2 => return unsafe { x86::with_avx2(kernel) },
        _ => {}
    }
    kernel.run(Portable(()))
}

/// Returns the lanes of the largest instruction set chosen for this process.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl Kernel for Lanes {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, _simd: S) -> usize {
            S::LANES
        }
    }
    dispatch(Lanes)
}

/// Arrays of eight floats, which compilers turn into what the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable(());

/// Applies `f` lane by lane.
#[inline(always)]
fn lanewise(mut f: impl FnMut(usize) -> f32) -> [f32; 8] {
    let mut out = [0.0; 8];
    for (at, out) in out.iter_mut().enumerate() {
        *out = f(at);
    }
    out
}

impl Simd for Portable {
    const LANES: usize = 8;
    type V = [f32; 8];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; 8]
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        *from.first_chunk().expect("a whole vector")
    }
    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [f32]) {
        *to.first_chunk_mut().expect("a whole vector") = value;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // A fused operation would be a call where the target has none.
        lanewise(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        lanewise(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn drop_below(self, a: Self::V, least: f32) -> Self::V {
        lanewise(|i| if a[i].abs() < least { 0.0 } else { a[i] })
    }
    #[inline(always)]
    fn keep_from(self, a: Self::V, key: Self::V, least: f32) -> Self::V {
        lanewise(|i| if key[i] >= least { a[i] } else { 0.0 })
    }
    #[inline(always)]
    fn keep_better(
        self,
        best: &mut Self::V,
        label: &mut Self::V,
        candidate: Self::V,
        candidate_label: Self::V,
    ) {
        for i in 0..8 {
            let better = candidate[i] > best[i];
            best[i] = if better { candidate[i] } else { best[i] };
            label[i] = if better { candidate_label[i] } else { label[i] };
        }
    }
    #[inline(always)]
    #[allow(clippy::float_cmp, reason = "both are small whole numbers")]
    fn sub_one_at(self, a: Self::V, lane: Self::V, index: f32) -> Self::V {
        lanewise(|i| if lane[i] == index { a[i] - 1.0 } else { a[i] })
    }
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn largest(self, a: Self::V) -> f32 {
        a.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a call.
        lanewise(|i| (a[i] + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "-126..=127 by contract"
    )]
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V {
        lanewise(|i| a[i] * f32::from_bits(((n[i] as i32 + 127) as u32) << 23))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Simd};

    /// Proof that the CPU has AVX-512F.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(());

    /// Proof that the CPU has AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(());

    /// # Safety
    ///
    /// - The CPU has AVX-512F.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }

    /// # Safety
    ///
    /// - The CPU has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        type V = __m512;

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        fn load(self, from: &[f32]) -> __m512 {
            let from: &[f32; 16] = from.first_chunk().expect("a whole vector");
            // SAFETY: `self` proves AVX-512F, and `from` holds 16 floats.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, value: __m512, to: &mut [f32]) {
            let to: &mut [f32; 16] = to.first_chunk_mut().expect("a whole vector");
            // SAFETY: `self` proves AVX-512F, and `to` holds 16 floats.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn div(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_min_ps(a, b) }
        }
        #[inline(always)]
        fn drop_below(self, a: __m512, least: f32) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe {
                let kept =
                    _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(a), _mm512_set1_ps(least));
                _mm512_maskz_mov_ps(kept, a)
            }
        }
        #[inline(always)]
        fn keep_from(self, a: __m512, key: __m512, least: f32) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe {
                let kept = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(key, _mm512_set1_ps(least));
                _mm512_maskz_mov_ps(kept, a)
            }
        }
        #[inline(always)]
        fn keep_better(
            self,
            best: &mut __m512,
            label: &mut __m512,
            candidate: __m512,
            candidate_label: __m512,
        ) {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe {
                let better = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(candidate, *best);
                *best = _mm512_mask_mov_ps(*best, better, candidate);
                *label = _mm512_mask_mov_ps(*label, better, candidate_label);
            }
        }
        #[inline(always)]
        fn sub_one_at(self, a: __m512, lane: __m512, index: f32) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe {
                let here = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(lane, _mm512_set1_ps(index));
                _mm512_mask_sub_ps(a, here, a, _mm512_set1_ps(1.0))
            }
        }
        #[inline(always)]
        fn sum(self, a: __m512) -> f32 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_reduce_add_ps(a) }
        }
        #[inline(always)]
        fn largest(self, a: __m512) -> f32 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_reduce_max_ps(a) }
        }
        #[inline(always)]
        fn round(self, a: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }
        #[inline(always)]
        fn scale_by_power(self, a: __m512, n: __m512) -> __m512 {
            // SAFETY: `self` proves that the CPU has AVX-512F.
            unsafe { _mm512_scalef_ps(a, n) }
        }
    }

    impl Simd for Avx2 {
        const LANES: usize = 8;
        type V = __m256;

        #[inline(always)]
        fn splat(self, value: f32) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        fn load(self, from: &[f32]) -> __m256 {
            let from: &[f32; 8] = from.first_chunk().expect("a whole vector");
            // SAFETY: `self` proves AVX2, and `from` holds 8 floats.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, value: __m256, to: &mut [f32]) {
            let to: &mut [f32; 8] = to.first_chunk_mut().expect("a whole vector");
            // SAFETY: `self` proves AVX2, and `to` holds 8 floats.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
        }
        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has FMA.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn div(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_div_ps(a, b) }
        }
        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        fn min(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_min_ps(a, b) }
        }
        #[inline(always)]
        fn drop_below(self, a: __m256, least: f32) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let size = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
                let kept = _mm256_cmp_ps::<_CMP_NLT_UQ>(size, _mm256_set1_ps(least));
                _mm256_and_ps(kept, a)
            }
        }
        #[inline(always)]
        fn keep_from(self, a: __m256, key: __m256, least: f32) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let kept = _mm256_cmp_ps::<_CMP_GE_OQ>(key, _mm256_set1_ps(least));
                _mm256_and_ps(kept, a)
            }
        }
        #[inline(always)]
        fn keep_better(
            self,
            best: &mut __m256,
            label: &mut __m256,
            candidate: __m256,
            candidate_label: __m256,
        ) {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let better = _mm256_cmp_ps::<_CMP_GT_OQ>(candidate, *best);
                *best = _mm256_blendv_ps(*best, candidate, better);
                *label = _mm256_blendv_ps(*label, candidate_label, better);
            }
        }
        #[inline(always)]
        fn sub_one_at(self, a: __m256, lane: __m256, index: f32) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let here = _mm256_cmp_ps::<_CMP_EQ_OQ>(lane, _mm256_set1_ps(index));
                _mm256_sub_ps(a, _mm256_and_ps(here, _mm256_set1_ps(1.0)))
            }
        }
        #[inline(always)]
        fn sum(self, a: __m256) -> f32 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let halves = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
                _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
            }
        }
        #[inline(always)]
        fn largest(self, a: __m256) -> f32 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let halves = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                let pairs = _mm_max_ps(halves, _mm_movehl_ps(halves, halves));
                _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
            }
        }
        #[inline(always)]
        fn round(self, a: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        }
        #[inline(always)]
        fn scale_by_power(self, a: __m256, n: __m256) -> __m256 {
            // SAFETY: `self` proves that the CPU has AVX2.
            unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
            }
        }
    }
}
