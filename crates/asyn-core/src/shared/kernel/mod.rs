//! The kernels: every operation of the views, once for each instruction set.
//!
//! An operation is written once, generic over a vector type ([`Lanes`](lanes::Lanes)), in
//! [`contiguous`], [`rows`] or [`panels`]. A module for each instruction set gives the
//! vector type, and [`define_table!`] compiles all operations with it, with the instruction set
//! enabled, into one table of functions. A view carries a reference to its table.
//!
//! Everything here may assume what the views have checked: lengths agree and memory is
//! aligned. Ids of rows are checked here.

use std::sync::atomic::AtomicU32;

use super::{AdamStep, Isa, MissedSteps};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod contiguous;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod portable;
mod rows;
mod traced;

pub(super) use rows::SplitRows;

/// Weights as `n_rows × stride` cells.
///
/// Invariant: the cells start on a cache line, there are that many, and `stride` is a
/// positive multiple of 8.
///
/// Kernels take it by reference: a copy in vectors, right after it was made word by word,
/// would wait for the words to reach the cache.
#[derive(Clone, Copy)]
pub(super) struct RowCells<'a> {
    pub(super) cells: &'a [AtomicU32],
    pub(super) n_rows: usize,
    pub(super) stride: usize,
}

/// Weights as panels of `k × 16` cells.
///
/// Invariant: the cells start on a cache line; `k` is positive and `16 k` divides their
/// number.
#[derive(Clone, Copy)]
pub(super) struct PanelCells<'a> {
    pub(super) cells: &'a [AtomicU32],
    pub(super) k: usize,
}

/// The kernels of one instruction set.
///
/// # Safety
///
/// The caller of any of these functions upholds:
///
/// - the processor supports `isa`; a table that came from [`table`] guarantees it;
/// - contiguous cells start on a multiple of 32 bytes;
/// - lengths agree, as the method of the view with the same name asserts.
#[allow(clippy::type_complexity, reason = "a name for a signature would hide it")]
pub(super) struct Kernels {
    pub(super) isa: Isa,
    pub(super) read: unsafe fn(&[AtomicU32], &mut [f32]),
    pub(super) write: unsafe fn(&[AtomicU32], &[f32]),
    pub(super) dot: unsafe fn(&[AtomicU32], &[f32]) -> f32,
    pub(super) add_scaled: unsafe fn(&[AtomicU32], f32, &[f32]),
    pub(super) scale_add: unsafe fn(&[AtomicU32], f32, f32, &[f32]),
    pub(super) merge: unsafe fn(&[AtomicU32], &[AtomicU32], &mut [f32]),
    pub(super) adam_step: unsafe fn(&[&[AtomicU32]; 3], &AdamStep, &[f32]),
    pub(super) adam_catch_up: unsafe fn(&[&[AtomicU32]; 3], &MissedSteps<'_>),
    pub(super) gemv: unsafe fn(&[AtomicU32], &[f32], &mut [f32]),
    pub(super) gemv_t: unsafe fn(&[AtomicU32], &[f32], &mut [f32]),
    pub(super) copy_rows: unsafe fn(&RowCells<'_>, &[u32], &mut [f32]),
    pub(super) sum_lists: unsafe fn(&SplitRows<'_>, &[u32], &[u32], &mut [f32], usize),
    pub(super) add_lists: unsafe fn(&SplitRows<'_>, &[u32], &[u32], f32, &[f32], &[f32]),
    pub(super) blend_lists: unsafe fn(&SplitRows<'_>, &[u32], &[u32], &[f32], &[f32], &[f32]),
    pub(super) gemm: unsafe fn(&PanelCells<'_>, &[f32], usize, &mut [f32]),
    pub(super) gemm_add: unsafe fn(&PanelCells<'_>, &[f32], usize, &mut [f32]),
    pub(super) gemm_t: unsafe fn(&PanelCells<'_>, &[f32], usize, &mut [f32]),
    pub(super) rank_update: unsafe fn(&PanelCells<'_>, f32, &[f32], &[f32], usize),
    pub(super) rank_adam_step: unsafe fn(&[PanelCells<'_>; 3], &AdamStep, &[f32], &[f32], usize),
}

/// Defines `KERNELS`, the table of `$isa`: every operation compiled for vectors of type
/// `$lanes`, in functions with the attribute `$feature`.
macro_rules! define_table {
    ($isa:expr, $lanes:ty $(, #[$feature:meta])?) => {
        define_table! {
            @fields $isa, $lanes, [$(#[$feature])?],
            read = contiguous::read(w: &[AtomicU32], out: &mut [f32]);
            write = contiguous::write(w: &[AtomicU32], x: &[f32]);
            dot = contiguous::dot(w: &[AtomicU32], x: &[f32]) -> f32;
            add_scaled = contiguous::add_scaled(w: &[AtomicU32], a: f32, x: &[f32]);
            scale_add = contiguous::scale_add(w: &[AtomicU32], keep: f32, a: f32, x: &[f32]);
            merge = contiguous::merge(w: &[AtomicU32], local: &[AtomicU32], base: &mut [f32]);
            adam_step = contiguous::adam_step(
                wmv: &[&[AtomicU32]; 3], step: &AdamStep, g: &[f32]
            );
            adam_catch_up = contiguous::adam_catch_up(
                wmv: &[&[AtomicU32]; 3], missed: &MissedSteps<'_>
            );
            gemv = contiguous::gemv(w: &[AtomicU32], x: &[f32], y: &mut [f32]);
            gemv_t = contiguous::gemv_t(w: &[AtomicU32], x: &[f32], y: &mut [f32]);
            copy_rows = rows::copy_rows(rows: &RowCells<'_>, ids: &[u32], out: &mut [f32]);
            sum_lists = rows::sum_lists(
                rows: &SplitRows<'_>, ids: &[u32], offsets: &[u32], out: &mut [f32], width: usize
            );
            add_lists = rows::add_lists(
                rows: &SplitRows<'_>, ids: &[u32], offsets: &[u32], a: f32, scales: &[f32], x: &[f32]
            );
            blend_lists = rows::blend_lists(
                rows: &SplitRows<'_>, ids: &[u32], offsets: &[u32],
                keep: &[f32], rate: &[f32], x: &[f32]
            );
            gemm = panels::gemm(w: &PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]);
            gemm_add = panels::gemm_add(w: &PanelCells<'_>, x: &[f32], t: usize, y: &mut [f32]);
            gemm_t = panels::gemm_t(w: &PanelCells<'_>, dy: &[f32], t: usize, dx: &mut [f32]);
            rank_update = panels::rank_update(
                w: &PanelCells<'_>, a: f32, x: &[f32], dy: &[f32], t: usize
            );
            rank_adam_step = panels::rank_adam_step(
                wmv: &[PanelCells<'_>; 3], step: &AdamStep, x: &[f32], dy: &[f32], t: usize
            );
        }
    };
    (
        @fields $isa:expr, $lanes:ty, $attributes:tt,
        $($name:ident = $module:ident::$_:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*
    ) => {
        pub(super) static KERNELS: Kernels = Kernels { isa: $isa, $($name),* };

        $(define_table! {
            @function $attributes
            /// # Safety
            ///
            /// As for [`Kernels`].
            unsafe fn $name($($arg: $type),*) $(-> $result)? {
                // SAFETY: the caller upholds what the generic kernel asks.
                unsafe { $module::$name::<$lanes>($($arg),*) }
            }
        })*
    };
    (@function [$($attribute:tt)*] $($function:tt)*) => {
        $($attribute)* $($function)*
    };
}
use define_table;

/// Returns the table of `isa`.
///
/// # Panics
///
/// If `isa` is not supported by this build or processor.
pub(super) fn table(isa: Isa) -> &'static Kernels {
    assert!(isa.is_supported(), "{isa} kernels are not supported here");
    match isa {
        Isa::Portable => &portable::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::KERNELS,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &neon::KERNELS,
        #[allow(unreachable_patterns, reason = "sets of other processors, excluded above")]
        _ => &portable::KERNELS,
    }
}

/// Returns the table of `isa` whose kernels tell the thread's watcher of every vector access
/// to shared memory.
///
/// # Panics
///
/// As [`table`].
pub(super) fn traced_table(isa: Isa) -> &'static Kernels {
    assert!(isa.is_supported(), "{isa} kernels are not supported here");
    traced::table(isa)
}

/// Says whether a table is one of [`traced_table`].
pub(super) fn is_traced(kernels: &'static Kernels) -> bool {
    std::ptr::eq(kernels, traced::table(kernels.isa))
}
