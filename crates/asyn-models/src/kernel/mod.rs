//! Pure kernels on private memory, one body for every instruction set.
//!
//! A kernel is a generic function over [`Simd`], always inlined. [`dispatch`]
//! calls it inside a function compiled for the instruction set that
//! `asyn_core::shared::isa` chose, so private and shared kernels agree.

pub(crate) mod chain;
pub(crate) mod viterbi;

mod simd;

pub(crate) use simd::{Kernel, Simd, dispatch, lanes};
