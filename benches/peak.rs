//! Multiply-adds on registers alone, as fast as the processor can.
#![allow(unsafe_code, reason = "the peak is measured with intrinsics of one instruction set")]

use asyn_core::shared::Isa;

/// The repetitions of one call.
const REPEATS: usize = 1000;
/// The independent sums: two units of four cycles need eight.
const SUMS: usize = 12;

/// A computation and the operations of one call.
type Computation = (fn(f32) -> f32, f64);

/// Returns a computation with `isa`, where one was written.
pub(crate) fn of(isa: Isa) -> Option<Computation> {
    let flops = |lanes: usize| (2 * REPEATS * SUMS * lanes) as f64;
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set is supported, as the caller found.
        Isa::Avx512 => Some((|x| unsafe { avx512(x) }, flops(16))),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set is supported, as the caller found.
        Isa::Avx2 => Some((|x| unsafe { avx2(x) }, flops(8))),
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(x: f32) -> f32 {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};
    let factor = _mm512_set1_ps(x);
    let mut sums = [factor; SUMS];
    for _ in 0..REPEATS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, factor);
        }
    }
    sums.iter().map(|&sum| _mm512_reduce_add_ps(sum)).sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(x: f32) -> f32 {
    use std::arch::x86_64::{_mm_cvtss_f32, _mm256_castps256_ps128};
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let factor = _mm256_set1_ps(x);
    let mut sums = [factor; SUMS];
    for _ in 0..REPEATS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, factor);
        }
    }
    sums.iter().map(|&sum| _mm_cvtss_f32(_mm256_castps256_ps128(sum))).sum()
}
