//! Pure kernels on private memory, one body for every instruction set.
//!
//! A kernel is a generic function over [`Simd`], always inlined. [`dispatch`]
//! calls it inside a function compiled for the instruction set that
//! `asyn_core::shared::isa` chose, so private and shared kernels agree.
//!
//! Loops over vectors use indices, not closures or iterator adaptors that take a vector: those
//! are compiled without the instruction set, and each intrinsic in them becomes a call.

pub(crate) mod cell;
pub(crate) mod chain;
pub(crate) mod softmax;
pub(crate) mod viterbi;

mod aligned;
mod simd;

pub(crate) use aligned::Aligned;
pub(crate) use simd::{Kernel, Simd, dispatch, lanes};
