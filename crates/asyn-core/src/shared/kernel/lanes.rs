//! Vectors of floats in registers: the only place where kernels differ by instruction set.

use std::sync::atomic::AtomicU32;

use crate::shared::weights;

/// `N` floats in registers.
///
/// Loads and stores of shared memory are apart from those of private memory: the former
/// mean `N` relaxed atomic accesses of 4 bytes, in some order.
///
/// # Safety
///
/// The caller of any method upholds:
///
/// - the processor supports the instruction set of the type;
/// - a pointer is valid for `N` floats, for reading or writing as the method needs;
/// - a pointer to shared memory is a multiple of `4 N` bytes, or of 32 if that is less.
///
/// The methods are `inline(always)` and so become part of a kernel that has the
/// instruction set enabled; without that each would be a call.
pub(super) trait Lanes: Copy {
    /// A vector of half as many floats, or of as many where nothing needs a smaller one.
    type Half: Lanes;

    /// The number of floats.
    const N: usize;

    /// The number of vectors of this type that fit into the registers.
    const REGISTERS: usize;

    unsafe fn load_shared(from: *const AtomicU32) -> Self;
    /// Loads two vectors that follow one another, for less than two loads cost.
    #[inline(always)]
    unsafe fn load_shared_two(from: *const AtomicU32) -> [Self; 2] {
        // SAFETY: the caller's promises hold for both.
        unsafe { [Self::load_shared(from), Self::load_shared(from.add(Self::N))] }
    }
    unsafe fn store_shared(self, to: *const AtomicU32);
    /// Adds `factor · x` to two vectors that follow one another, for less than two
    /// additions cost.
    #[inline(always)]
    unsafe fn add_scaled_shared_two(to: *const AtomicU32, factor: Self, x: [Self; 2]) {
        // SAFETY: the caller's promises hold for both.
        unsafe {
            for (v, x) in x.into_iter().enumerate() {
                let to = to.add(v * Self::N);
                x.mul_add(factor, Self::load_shared(to)).store_shared(to);
            }
        }
    }
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Returns a vector of which each float is `value`.
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// Moves each float into `[−limit, limit]`; what is not a number stays, so that it is seen.
    unsafe fn clamp(self, limit: Self) -> Self;
    /// Replaces denormal numbers by 0; what is not a number stays.
    unsafe fn normal(self) -> Self;
    /// Returns `self · factor + addend`.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Returns the sum of the floats.
    unsafe fn sum(self) -> f32;
    /// Returns the sum of the floats of each vector.
    unsafe fn sum_each(four: [Self; 4]) -> [f32; 4];
}

/// Moves `x` into `[−limit, limit]`; where either is not a number, `x` stays.
#[inline(always)]
pub(super) fn cut(x: f32, limit: f32) -> f32 {
    if x > limit {
        limit
    } else if x < -limit {
        -limit
    } else {
        x
    }
}

/// A scalar: what is left over where a length is not a multiple of a vector.
impl Lanes for f32 {
    type Half = Self;

    const N: usize = 1;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        // SAFETY: the caller gives a valid cell.
        weights::load(unsafe { &*from })
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        // SAFETY: the caller gives a valid cell.
        weights::store(unsafe { &*to }, self);
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives a valid float.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives a valid float.
        unsafe { *to = self }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self / other
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        cut(self, limit)
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        if self.abs() < f32::MIN_POSITIVE { 0.0 } else { self }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self
    }

    #[inline(always)]
    unsafe fn sum_each(four: [Self; 4]) -> [f32; 4] {
        four
    }
}

/// Two vectors side by side, for an instruction set whose registers hold 8 floats.
#[derive(Clone, Copy)]
pub(super) struct Pair<H>(H, H);

impl<H: Lanes> Lanes for Pair<H> {
    type Half = H;

    const N: usize = 2 * H::N;
    const REGISTERS: usize = H::REGISTERS / 2;

    #[inline(always)]
    unsafe fn load_shared(from: *const AtomicU32) -> Self {
        // SAFETY: the caller's promises for `N` floats hold for either half.
        let [low, high] = unsafe { H::load_shared_two(from) };
        Self(low, high)
    }

    #[inline(always)]
    unsafe fn store_shared(self, to: *const AtomicU32) {
        // SAFETY: the caller's promises for `N` floats hold for either half.
        unsafe {
            self.0.store_shared(to);
            self.1.store_shared(to.add(H::N));
        }
    }

    #[inline(always)]
    unsafe fn add_scaled_shared_two(to: *const AtomicU32, factor: Self, x: [Self; 2]) {
        let [low, high] = x;
        // SAFETY: the caller's promises for `2 N` floats hold for either pair of halves.
        unsafe {
            H::add_scaled_shared_two(to, factor.0, [low.0, low.1]);
            H::add_scaled_shared_two(to.add(Self::N), factor.1, [high.0, high.1]);
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promises for `N` floats hold for either half.
        unsafe { Self(H::load(from), H::load(from.add(H::N))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promises for `N` floats hold for either half.
        unsafe {
            self.0.store(to);
            self.1.store(to.add(H::N));
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(H::splat(value), H::splat(value)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.add(other.0), self.1.add(other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.sub(other.0), self.1.sub(other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.mul(other.0), self.1.mul(other.1)) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.div(other.0), self.1.div(other.1)) }
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.sqrt(), self.1.sqrt()) }
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.clamp(limit.0), self.1.clamp(limit.1)) }
    }

    #[inline(always)]
    unsafe fn normal(self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.normal(), self.1.normal()) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { Self(self.0.mul_add(factor.0, addend.0), self.1.mul_add(factor.1, addend.1)) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { self.0.add(self.1).sum() }
    }

    #[inline(always)]
    unsafe fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // SAFETY: as the caller promises, for the instruction set of `H`.
        unsafe { H::sum_each([a.0.add(a.1), b.0.add(b.1), c.0.add(c.1), d.0.add(d.1)]) }
    }
}
