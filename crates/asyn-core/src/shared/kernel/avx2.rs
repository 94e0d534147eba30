//! AVX2: vectors of 8 floats, fused multiply-add, accesses of 32 bytes.

use std::arch::asm;
use std::arch::x86_64::{
    __m256, _CMP_NLT_UQ, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_storeu_ps, _mm256_add_ps, _mm256_and_ps, _mm256_andnot_ps, _mm256_castps256_ps128,
    _mm256_cmp_ps, _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_hadd_ps,
    _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_sqrt_ps, _mm256_storeu_ps, _mm256_sub_ps,
};
use std::sync::atomic::AtomicU32;

use super::lanes::{Lanes, Pair};
use super::{
    AdamStep, Kernels, MissedSteps, PanelCells, RowCells, SplitRows, contiguous, define_table,
    panels, rows,
};
use crate::shared::Isa;

define_table!(Isa::Avx2, Pair<Ymm>, #[target_feature(enable = "avx2,fma")]);

/// Eight floats in a register of AVX.
#[derive(Clone, Copy)]
pub(super) struct Ymm(pub(super) __m256);

/// Loads eight weights.
///
/// # Safety
///
/// `from` is valid for eight floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn load_shared(from: *const AtomicU32) -> __m256 {
    let vector;
    // SAFETY: stands for eight relaxed atomic loads in some order; see
    // docs/memory-model.md. The instruction reads 32 valid bytes and changes one
    // register; it traps on an address that is not a multiple of 32.
    unsafe {
        asm!(
            "vmovaps {vector}, [{from}]",
            from = in(reg) from,
            vector = lateout(ymm_reg) vector,
            options(nostack, preserves_flags, readonly),
        );
    }
    vector
}

/// Loads sixteen weights.
///
/// One block for two loads leaves the distance between them to the instruction.
///
/// # Safety
///
/// `from` is valid for sixteen floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn load_shared_two(from: *const AtomicU32) -> [__m256; 2] {
    let (low, high);
    // SAFETY: stands for sixteen relaxed atomic loads in some order; see
    // docs/memory-model.md. The instructions read 64 valid bytes and change two
    // registers; they trap on an address that is not a multiple of 32.
    unsafe {
        asm!(
            "vmovaps {low}, [{from}]",
            "vmovaps {high}, [{from} + 32]",
            from = in(reg) from,
            low = out(ymm_reg) low,
            high = lateout(ymm_reg) high,
            options(nostack, preserves_flags, readonly),
        );
    }
    [low, high]
}

/// Stores eight weights.
///
/// # Safety
///
/// `to` is valid for eight floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn store_shared(to: *const AtomicU32, vector: __m256) {
    // SAFETY: stands for eight relaxed atomic stores in some order; see
    // docs/memory-model.md. The instruction writes 32 valid bytes and changes no
    // register; it traps on an address that is not a multiple of 32.
    unsafe {
        asm!(
            "vmovaps [{to}], {vector}",
            to = in(reg) to,
            vector = in(ymm_reg) vector,
            options(nostack, preserves_flags),
        );
    }
}

/// Adds `factor · x` to sixteen weights.
///
/// One block for two vectors leaves the distance between them to the instructions.
///
/// # Safety
///
/// `to` is valid for sixteen floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "avx,fma")]
unsafe fn add_scaled_shared_two(to: *const AtomicU32, factor: __m256, [low, high]: [__m256; 2]) {
    // SAFETY: stands for sixteen relaxed atomic loads in some order, each followed by the
    // relaxed atomic store of the same weight; see docs/memory-model.md. The instructions
    // read and write 64 valid bytes and change two registers; they trap on an address
    // that is not a multiple of 32.
    unsafe {
        asm!(
            "vmovaps {sum}, [{to}]",
            "vfmadd231ps {sum}, {low}, {factor}",
            "vmovaps [{to}], {sum}",
            "vmovaps {sum}, [{to} + 32]",
            "vfmadd231ps {sum}, {high}, {factor}",
            "vmovaps [{to} + 32], {sum}",
            to = in(reg) to,
            factor = in(ymm_reg) factor,
            low = in(ymm_reg) low,
            high = in(ymm_reg) high,
            sum = out(ymm_reg) _,
            options(nostack, preserves_flags),
        );
    }
}

impl Lanes for Ymm {
    type Half = Self;

    const N: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { load_shared(from) })
    }

    #[inline(always)]
    unsafe fn load_shared_two(from: *const AtomicU32) -> [Self; 2] {
        // SAFETY: as the caller promises.
        unsafe { load_shared_two(from) }.map(Self)
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        // SAFETY: as the caller promises.
        unsafe { store_shared(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add_scaled_shared_two(to: *const AtomicU32, factor: Self, x: [Self; 2]) {
        // SAFETY: as the caller promises.
        unsafe { add_scaled_shared_two(to, factor.0, x.map(|x| x.0)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        unsafe {
            let least = _mm256_sub_ps(_mm256_setzero_ps(), limit.0);
            // Of two operands, the second is the answer where one is not a number.
            Self(_mm256_min_ps(limit.0, _mm256_max_ps(least, self.0)))
        }
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        // SAFETY: the caller runs on a processor with AVX2.
        unsafe {
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0);
            let least = _mm256_set1_ps(f32::MIN_POSITIVE);
            Self(_mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_NLT_UQ>(magnitude, least)))
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller runs on a processor with FMA.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller runs on a processor with AVX2.
        unsafe {
            let four =
                _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: the caller runs on a processor with AVX2.
        unsafe {
            // The sums of each four neighbours, once for the lower and once for the
            // upper half of a vector.
            let fours = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
            let eights =
                _mm_add_ps(_mm256_castps256_ps128(fours), _mm256_extractf128_ps::<1>(fours));
            _mm_storeu_ps(sums.as_mut_ptr(), eights);
        }
        sums
    }
}
