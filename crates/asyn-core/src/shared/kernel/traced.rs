//! Kernels that tell of every access: the same arithmetic, to the bit, as those of the
//! instruction set, with a call before each load and store of shared memory.

use std::sync::atomic::AtomicU32;

use super::lanes::{Lanes, Pair};
use super::{Kernels, portable};
use crate::shared::Isa;
use crate::shared::trace::{Kind, point};

/// A vector whose accesses to shared memory are told.
#[derive(Clone, Copy)]
struct Traced<V>(V);

impl<V: Lanes> Lanes for Traced<V> {
    type Half = Traced<V::Half>;

    const N: usize = V::N;
    const REGISTERS: usize = V::REGISTERS;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        point(from, Kind::Load);
        // SAFETY: as the caller promises.
        Self(unsafe { V::load_shared(from) })
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        point(to, Kind::Store);
        // SAFETY: as the caller promises.
        unsafe { self.0.store_shared(to) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { V::load(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { self.0.store(to) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { V::splat(value) })
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.add(other.0) })
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.sub(other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.mul(other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.div(other.0) })
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.sqrt() })
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.clamp(limit.0) })
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.normal() })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.mul_add(factor.0, addend.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { self.0.sum() }
    }

    #[inline(always)]
    unsafe fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: as the caller promises.
        unsafe { V::sum_each([a.0, b.0, c.0, d.0]) }
    }
}

/// Defines a module with the table of traced kernels for vectors of type `$lanes`.
macro_rules! define_traced {
    ($module:ident, $isa:expr, $lanes:ty $(, #[$feature:meta])?) => {
        mod $module {
            use std::sync::atomic::AtomicU32;

            use super::super::{
                AdamStep, Kernels, MissedSteps, PanelCells, RowCells, SplitRows, contiguous, define_table, panels, rows,
            };
            #[allow(unused_imports, reason = "not every set pairs vectors")]
            use super::{Isa, Pair, Traced};

            define_table!($isa, Traced<$lanes> $(, #[$feature])?);
        }
    };
}

define_traced!(scalar, Isa::Portable, Pair<super::portable::Array>);
#[cfg(target_arch = "x86_64")]
define_traced!(
    avx2, Isa::Avx2, Pair<super::super::avx2::Ymm>, #[target_feature(enable = "avx2,fma")]
);
#[cfg(target_arch = "x86_64")]
define_traced!(
    avx512, Isa::Avx512, super::super::avx512::Zmm,
    #[target_feature(enable = "avx512f,avx512vl")]
);
#[cfg(target_arch = "aarch64")]
define_traced!(
    neon, Isa::Neon, Pair<super::super::neon::TwoQ>, #[target_feature(enable = "neon")]
);

/// Returns the traced table of `isa`, which is supported.
pub(super) fn table(isa: Isa) -> &'static Kernels {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::KERNELS,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &neon::KERNELS,
        _ => &scalar::KERNELS,
    }
}
