//! Kernels on plain slices: what shared access is measured against.
//!
//! They are written by hand with intrinsics, for the same instruction set and with the
//! same number of partial sums as the kernels of `asyn-core`, but with ordinary loads
//! and stores that the compiler may fold, reorder and unroll as it likes.

use asyn_core::shared::Isa;

/// The kernels on plain slices for one instruction set.
///
/// # Safety
///
/// The caller of any of these functions upholds that the processor has the set, that
/// lengths agree as for the methods of the same name in `asyn-core`, and that rows are a
/// multiple of 8 long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) dot: unsafe fn(&[f32], &[f32]) -> f32,
    pub(crate) add_scaled: unsafe fn(&mut [f32], f32, &[f32]),
    pub(crate) gemv: unsafe fn(&[f32], &[f32], &mut [f32]),
    pub(crate) sum_rows: unsafe fn(&[f32], usize, &[u32], &mut [f32]),
    pub(crate) add_rows: unsafe fn(&mut [f32], usize, &[u32], f32, &[f32]),
}

impl Plain {
    /// Returns the kernels for `isa`, if they exist.
    pub(crate) fn of(isa: Isa) -> Option<Self> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(Self {
                dot: x86::wide::dot,
                add_scaled: x86::wide::add_scaled,
                gemv: x86::wide::gemv,
                sum_rows: x86::sum_rows_wide,
                add_rows: x86::add_rows_wide,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(Self {
                dot: x86::narrow::dot,
                add_scaled: x86::narrow::add_scaled,
                gemv: x86::narrow::gemv,
                sum_rows: x86::narrow::sum_rows,
                add_rows: x86::narrow::add_rows,
            }),
            _ => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps,
        _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_add_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_set1_ps,
        _mm512_storeu_ps,
    };

    /// Defines the kernels for vectors of `$n` floats.
    macro_rules! kernels {
        (
            $name:ident, $feature:literal, $vector:ty, $n:literal, sums: $sums:literal,
            $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident, $fma:ident,
            $sum:ident
        ) => {
            pub(super) mod $name {
                use super::*;

                /// # Safety
                ///
                /// The processor has the instruction set; `w` and `x` are equally long.
                #[target_feature(enable = $feature)]
                pub(crate) unsafe fn dot(w: &[f32], x: &[f32]) -> f32 {
                    let mut sums = [$splat(0.0); $sums];
                    let ((ws, w), (xs, x)) = (w.as_chunks::<$n>(), x.as_chunks::<$n>());
                    let ((w4, w1), (x4, x1)) = (ws.as_chunks::<$sums>(), xs.as_chunks::<$sums>());
                    for (w, x) in w4.iter().zip(x4) {
                        for c in 0..$sums {
                            sums[c] = $fma(load(&w[c]), load(&x[c]), sums[c]);
                        }
                    }
                    for (w, x) in w1.iter().zip(x1) {
                        sums[0] = $fma(load(w), load(x), sums[0]);
                    }
                    let rest: f32 = w.iter().zip(x).map(|(w, x)| w * x).sum();
                    let total = sums.into_iter().reduce(|a, b| $add(a, b));
                    $sum(total.expect("a sum")) + rest
                }

                /// # Safety
                ///
                /// The processor has the instruction set; `w` and `x` are equally long.
                #[target_feature(enable = $feature)]
                pub(crate) unsafe fn add_scaled(w: &mut [f32], a: f32, x: &[f32]) {
                    let factor = $splat(a);
                    let ((ws, w), (xs, x)) = (w.as_chunks_mut::<$n>(), x.as_chunks::<$n>());
                    for (w, x) in ws.iter_mut().zip(xs) {
                        store(w, $fma(load(x), factor, load(w)));
                    }
                    for (w, x) in w.iter_mut().zip(x) {
                        *w += a * x;
                    }
                }

                /// # Safety
                ///
                /// The processor has the instruction set; `w` is `y.len() × x.len()`, and
                /// both lengths are a multiple of four and of a vector.
                #[target_feature(enable = $feature)]
                pub(crate) unsafe fn gemv(w: &[f32], x: &[f32], y: &mut [f32]) {
                    let n = x.len();
                    for (w, y) in w.chunks_exact(4 * n).zip(y.chunks_exact_mut(4)) {
                        let mut sums = [[$splat(0.0); 2]; 4];
                        let (twos, ones) = x.as_chunks::<{ 2 * $n }>();
                        for (i, x) in twos.iter().enumerate() {
                            let (x, _) = x.as_chunks::<$n>();
                            let xs = [load(&x[0]), load(&x[1])];
                            for r in 0..4 {
                                let (row, _) = w[r * n + 2 * $n * i..].as_chunks::<$n>();
                                sums[r][0] = $fma(load(&row[0]), xs[0], sums[r][0]);
                                sums[r][1] = $fma(load(&row[1]), xs[1], sums[r][1]);
                            }
                        }
                        if let ([x], _) = ones.as_chunks::<$n>() {
                            for r in 0..4 {
                                let (row, _) = w[r * n + n - $n..].as_chunks::<$n>();
                                sums[r][0] = $fma(load(&row[0]), load(x), sums[r][0]);
                            }
                        }
                        for (y, sums) in y.iter_mut().zip(sums) {
                            *y = $sum($add(sums[0], sums[1]));
                        }
                    }
                }

                /// # Safety
                ///
                /// The processor has the instruction set; all ids are rows of `stride`,
                /// which is a multiple of a vector.
                #[target_feature(enable = $feature)]
                pub(crate) unsafe fn sum_rows(
                    w: &[f32],
                    stride: usize,
                    ids: &[u32],
                    out: &mut [f32],
                ) {
                    match stride / $n {
                        2 => sum_strip::<2>(w, stride, ids, out),
                        3 => sum_strip::<3>(w, stride, ids, out),
                        4 => sum_strip::<4>(w, stride, ids, out),
                        n => panic!("there is no plain kernel for rows of {n} vectors"),
                    }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn sum_strip<const C: usize>(
                    w: &[f32],
                    stride: usize,
                    ids: &[u32],
                    out: &mut [f32],
                ) {
                    let mut sums = [$splat(0.0); C];
                    let (fours, ones) = ids.as_chunks::<4>();
                    for ids in fours {
                        for c in 0..C {
                            let low = $add(cell(w, stride, ids[0], c), cell(w, stride, ids[1], c));
                            let high = $add(cell(w, stride, ids[2], c), cell(w, stride, ids[3], c));
                            sums[c] = $add(sums[c], $add(low, high));
                        }
                    }
                    for &id in ones {
                        for c in 0..C {
                            sums[c] = $add(sums[c], cell(w, stride, id, c));
                        }
                    }
                    for (out, sum) in out.as_chunks_mut::<$n>().0.iter_mut().zip(sums) {
                        store(out, sum);
                    }
                }

                /// # Safety
                ///
                /// The processor has the instruction set; all ids are rows of `stride`,
                /// which is a multiple of a vector.
                #[target_feature(enable = $feature)]
                pub(crate) unsafe fn add_rows(
                    w: &mut [f32],
                    stride: usize,
                    ids: &[u32],
                    a: f32,
                    x: &[f32],
                ) {
                    match stride / $n {
                        2 => add_strip::<2>(w, stride, ids, a, x),
                        3 => add_strip::<3>(w, stride, ids, a, x),
                        4 => add_strip::<4>(w, stride, ids, a, x),
                        n => panic!("there is no plain kernel for rows of {n} vectors"),
                    }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn add_strip<const C: usize>(
                    w: &mut [f32],
                    stride: usize,
                    ids: &[u32],
                    a: f32,
                    x: &[f32],
                ) {
                    let mut change = [$splat(0.0); C];
                    for (change, x) in change.iter_mut().zip(x.as_chunks::<$n>().0) {
                        *change = $mul(load(x), $splat(a));
                    }
                    for &id in ids {
                        for c in 0..C {
                            let sum = $add(cell(w, stride, id, c), change[c]);
                            // SAFETY: the caller gives ids of rows.
                            unsafe {
                                let start = w.as_mut_ptr().add(id as usize * stride + c * $n);
                                $store(start, sum);
                            }
                        }
                    }
                }

                /// Loads vector `c` of row `id`.
                #[inline]
                #[target_feature(enable = $feature)]
                fn cell(w: &[f32], stride: usize, id: u32, c: usize) -> $vector {
                    // SAFETY: the caller gives ids of rows.
                    unsafe { $load(w.as_ptr().add(id as usize * stride + c * $n)) }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn load(from: &[f32; $n]) -> $vector {
                    // SAFETY: the array is as long as the vector.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline]
                #[target_feature(enable = $feature)]
                fn store(to: &mut [f32; $n], vector: $vector) {
                    // SAFETY: the array is as long as the vector.
                    unsafe { $store(to.as_mut_ptr(), vector) }
                }
            }
        };
    }

    kernels!(
        wide, "avx512f,avx512vl", __m512, 16, sums: 4,
        _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_mul_ps,
        _mm512_fmadd_ps, _mm512_reduce_add_ps
    );
    kernels!(
        narrow, "avx2,fma", __m256, 8, sums: 8,
        _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_mul_ps,
        _mm256_fmadd_ps, sum
    );

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sum(vector: __m256) -> f32 {
        let (low, high) = (_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
        let four = _mm_add_ps(low, high);
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }

    /// Sums rows in whole vectors where these divide a row, else in half vectors.
    ///
    /// # Safety
    ///
    /// As for `wide::sum_rows`.
    pub(super) unsafe fn sum_rows_wide(w: &[f32], stride: usize, ids: &[u32], out: &mut [f32]) {
        // SAFETY: as the caller promises; AVX-512 includes AVX2.
        unsafe {
            if stride.is_multiple_of(16) {
                wide::sum_rows(w, stride, ids, out);
            } else {
                narrow::sum_rows(w, stride, ids, out);
            }
        }
    }

    /// Adds to rows in whole vectors where these divide a row, else in half vectors.
    ///
    /// # Safety
    ///
    /// As for `wide::add_rows`.
    pub(super) unsafe fn add_rows_wide(
        w: &mut [f32],
        stride: usize,
        ids: &[u32],
        a: f32,
        x: &[f32],
    ) {
        // SAFETY: as the caller promises; AVX-512 includes AVX2.
        unsafe {
            if stride.is_multiple_of(16) {
                wide::add_rows(w, stride, ids, a, x);
            } else {
                narrow::add_rows(w, stride, ids, a, x);
            }
        }
    }
}
