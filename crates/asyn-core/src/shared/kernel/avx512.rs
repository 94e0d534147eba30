//! AVX-512: vectors of 16 floats, accesses of 64 bytes, 32 registers.

use std::arch::asm;
use std::arch::x86_64::{
    __m512, _CMP_NLT_UQ, _mm256_castpd_ps, _mm512_abs_ps, _mm512_add_ps, _mm512_castps_pd,
    _mm512_castps512_ps256, _mm512_cmp_ps_mask, _mm512_div_ps, _mm512_extractf64x4_pd,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_sqrt_ps,
    _mm512_storeu_ps, _mm512_sub_ps,
};
use std::sync::atomic::AtomicU32;

use super::avx2::Ymm;
use super::lanes::Lanes;
use super::{
    AdamStep, Kernels, MissedSteps, PanelCells, RowCells, SplitRows, contiguous, define_table,
    panels, rows,
};
use crate::shared::Isa;

define_table!(Isa::Avx512, Zmm, #[target_feature(enable = "avx512f,avx512vl")]);

/// Sixteen floats in a register of AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Zmm(__m512);

/// Loads sixteen weights.
///
/// # Safety
///
/// `from` is valid for sixteen floats and a multiple of 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_shared(from: *const AtomicU32) -> __m512 {
    let vector;
    // SAFETY: stands for sixteen relaxed atomic loads in some order; see
    // docs/memory-model.md. The instruction reads 64 valid bytes and changes one
    // register; it traps on an address that is not a multiple of 64.
    unsafe {
        asm!(
            "vmovaps {vector}, [{from}]",
            from = in(reg) from,
            vector = lateout(zmm_reg) vector,
            options(nostack, preserves_flags, readonly),
        );
    }
    vector
}

/// Loads thirty-two weights.
///
/// One block for two loads leaves the distance between them to the instruction.
///
/// # Safety
///
/// `from` is valid for thirty-two floats and a multiple of 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_shared_two(from: *const AtomicU32) -> [__m512; 2] {
    let (low, high);
    // SAFETY: stands for thirty-two relaxed atomic loads in some order; see
    // docs/memory-model.md. The instructions read 128 valid bytes and change two
    // registers; they trap on an address that is not a multiple of 64.
    unsafe {
        asm!(
            "vmovaps {low}, [{from}]",
            "vmovaps {high}, [{from} + 64]",
            from = in(reg) from,
            low = out(zmm_reg) low,
            high = lateout(zmm_reg) high,
            options(nostack, preserves_flags, readonly),
        );
    }
    [low, high]
}

/// Stores sixteen weights.
///
/// # Safety
///
/// `to` is valid for sixteen floats and a multiple of 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_shared(to: *const AtomicU32, vector: __m512) {
    // SAFETY: stands for sixteen relaxed atomic stores in some order; see
    // docs/memory-model.md. The instruction writes 64 valid bytes and changes no
    // register; it traps on an address that is not a multiple of 64.
    unsafe {
        asm!(
            "vmovaps [{to}], {vector}",
            to = in(reg) to,
            vector = in(zmm_reg) vector,
            options(nostack, preserves_flags),
        );
    }
}

/// Adds `factor · x` to thirty-two weights.
///
/// One block for two vectors leaves the distance between them to the instructions.
///
/// # Safety
///
/// `to` is valid for thirty-two floats and a multiple of 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn add_scaled_shared_two(to: *const AtomicU32, factor: __m512, [low, high]: [__m512; 2]) {
    // SAFETY: stands for thirty-two relaxed atomic loads in some order, each followed by the
    // relaxed atomic store of the same weight; see docs/memory-model.md. The instructions
    // read and write 128 valid bytes and change two registers; they trap on an address
    // that is not a multiple of 64.
    unsafe {
        asm!(
            "vmovaps {sum}, [{to}]",
            "vfmadd231ps {sum}, {low}, {factor}",
            "vmovaps [{to}], {sum}",
            "vmovaps {sum}, [{to} + 64]",
            "vfmadd231ps {sum}, {high}, {factor}",
            "vmovaps [{to} + 64], {sum}",
            to = in(reg) to,
            factor = in(zmm_reg) factor,
            low = in(zmm_reg) low,
            high = in(zmm_reg) high,
            sum = out(zmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
}

impl Zmm {
    /// Returns the sum of the lower and the upper half.
    ///
    /// # Safety
    ///
    /// The processor supports AVX-512.
    #[inline(always)]
    unsafe fn fold(self) -> Ymm {
        // SAFETY: the caller runs on a processor with AVX-512.
        unsafe {
            let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0));
            let upper = Ymm(_mm256_castpd_ps(upper));
            Ymm(_mm512_castps512_ps256(self.0)).add(upper)
        }
    }
}

impl Lanes for Zmm {
    type Half = Ymm;

    const N: usize = 16;
    const REGISTERS: usize = 32;

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
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        unsafe {
            let least = _mm512_sub_ps(_mm512_setzero_ps(), limit.0);
            // Of two operands, the second is the answer where one is not a number.
            Self(_mm512_min_ps(limit.0, _mm512_max_ps(least, self.0)))
        }
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        unsafe {
            let least = _mm512_set1_ps(f32::MIN_POSITIVE);
            let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(self.0), least);
            Self(_mm512_maskz_mov_ps(kept, self.0))
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller runs on a processor with AVX-512.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller runs on a processor with AVX-512.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }

    #[inline(always)]
    unsafe fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: the caller runs on a processor with AVX-512.
        unsafe { Ymm::sum_each([a.fold(), b.fold(), c.fold(), d.fold()]) }
    }
}
