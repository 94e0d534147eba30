//! NEON: pairs of registers of 4 floats, loaded and stored by `LD1` and `ST1`.
//!
//! These are described as accesses to elements, here of 4 bytes; that each is atomic is
//! an assumption, as for the other vector kernels (see docs/memory-model.md).

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddvq_f32, vbicq_u32, vcaltq_f32, vdivq_f32, vdupq_n_f32, vfmaq_f32,
    vld1q_f32, vmaxq_f32, vminq_f32, vmulq_f32, vnegq_f32, vreinterpretq_f32_u32,
    vreinterpretq_u32_f32, vsqrtq_f32, vst1q_f32, vsubq_f32,
};
use std::arch::asm;
use std::sync::atomic::AtomicU32;

use super::lanes::{Lanes, Pair};
use super::{
    AdamStep, Kernels, MissedSteps, PanelCells, RowCells, SplitRows, contiguous, define_table,
    panels, rows,
};
use crate::shared::Isa;

define_table!(Isa::Neon, Pair<TwoQ>, #[target_feature(enable = "neon")]);

/// Eight floats in two registers.
#[derive(Clone, Copy)]
pub(super) struct TwoQ(float32x4_t, float32x4_t);

/// Loads eight weights.
///
/// # Safety
///
/// `from` is valid for eight floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_shared(from: *const AtomicU32) -> TwoQ {
    let (low, high);
    // SAFETY: stands for eight relaxed atomic loads in some order; see
    // docs/memory-model.md. The instructions read 32 valid bytes and change the two
    // results and the copy of the address.
    unsafe {
        asm!(
            "ld1 {{{low:v}.4s}}, [{from}], #16",
            "ld1 {{{high:v}.4s}}, [{from}]",
            from = inout(reg) from => _,
            low = out(vreg) low,
            high = lateout(vreg) high,
            options(nostack, preserves_flags, readonly),
        );
    }
    TwoQ(low, high)
}

/// Stores eight weights.
///
/// # Safety
///
/// `to` is valid for eight floats and a multiple of 32 bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_shared(to: *const AtomicU32, vector: TwoQ) {
    // SAFETY: stands for eight relaxed atomic stores in some order; see
    // docs/memory-model.md. The instructions write 32 valid bytes and change the copy
    // of the address.
    unsafe {
        asm!(
            "st1 {{{low:v}.4s}}, [{to}], #16",
            "st1 {{{high:v}.4s}}, [{to}]",
            to = inout(reg) to => _,
            low = in(vreg) vector.0,
            high = in(vreg) vector.1,
            options(nostack, preserves_flags),
        );
    }
}

impl Lanes for TwoQ {
    type Half = Self;

    const N: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        // SAFETY: as the caller promises.
        unsafe { load_shared(from) }
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        // SAFETY: as the caller promises.
        unsafe { store_shared(to, self) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vdupq_n_f32(value), vdupq_n_f32(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vdivq_f32(self.0, other.0), vdivq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { Self(vsqrtq_f32(self.0), vsqrtq_f32(self.1)) }
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe {
            let one = |x, limit| vminq_f32(vmaxq_f32(x, vnegq_f32(limit)), limit);
            Self(one(self.0, limit.0), one(self.1, limit.1))
        }
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe {
            let least = vdupq_n_f32(f32::MIN_POSITIVE);
            let one = |x| {
                let kept = vbicq_u32(vreinterpretq_u32_f32(x), vcaltq_f32(x, least));
                vreinterpretq_f32_u32(kept)
            };
            Self(one(self.0), one(self.1))
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe {
            Self(vfmaq_f32(addend.0, self.0, factor.0), vfmaq_f32(addend.1, self.1, factor.1))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { vaddvq_f32(vaddq_f32(self.0, self.1)) }
    }

    #[inline(always)]
    unsafe fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: the caller runs on a processor with NEON.
        unsafe { [a.sum(), b.sum(), c.sum(), d.sum()] }
    }
}
