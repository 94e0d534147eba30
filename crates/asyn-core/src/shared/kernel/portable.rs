//! Relaxed scalar atomics: no assembly, no assumption beyond the language.
//!
//! Serves Miri, `ThreadSanitizer`, the feature `portable` and every processor without
//! kernels of its own. Only the arithmetic on private values can be vectorised.

use std::array;
use std::sync::atomic::AtomicU32;

use super::lanes::{Lanes, Pair, cut};
use super::{
    AdamStep, Kernels, MissedSteps, PanelCells, RowCells, SplitRows, contiguous, define_table,
    panels, rows,
};
use crate::shared::{Isa, weights};

define_table!(Isa::Portable, Pair<Array>);

/// Eight floats that the compiler may keep in whatever registers there are.
#[derive(Clone, Copy)]
pub(super) struct Array([f32; 8]);

impl Lanes for Array {
    type Half = Self;

    const N: usize = 8;
    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        // SAFETY: the caller gives eight valid cells.
        let cells = unsafe { &*from.cast::<[AtomicU32; 8]>() };
        Self(array::from_fn(|i| weights::load(&cells[i])))
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        // SAFETY: the caller gives eight valid cells.
        let cells = unsafe { &*to.cast::<[AtomicU32; 8]>() };
        for (cell, value) in cells.iter().zip(self.0) {
            weights::store(cell, value);
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives eight valid floats.
        Self(unsafe { *from.cast::<[f32; 8]>() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives eight valid floats.
        unsafe { *to.cast::<[f32; 8]>() = self.0 }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] / other.0[i]))
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        Self(array::from_fn(|i| cut(self.0[i], limit.0[i])))
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        let one = |x: f32| if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x };
        Self(self.0.map(one))
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] * factor.0[i] + addend.0[i]))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(always)]
    unsafe fn sum_each(four: [Self; 4]) -> [f32; 4] {
        four.map(|vector| vector.0.iter().sum())
    }
}
