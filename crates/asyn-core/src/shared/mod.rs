//! Shared weights and every access to them.
//!
//! [`SharedWeights`] owns one vector of `f32` that all workers read and write at the
//! same time without a lock. No `&[f32]` to it exists while it is shared; the only way
//! to it is through the operations of three views:
//!
//! | View            | Weights                                        | Operations                    |
//! | --------------- | ---------------------------------------------- | ----------------------------- |
//! | [`WeightsView`] | `len` floats in a row, or a row-major matrix   | dot, add, gemv, merge, Adam   |
//! | [`RowsView`]    | `n_rows × stride`, a table touched row by row  | sum, add, blend, copy rows    |
//! | [`PanelView`]   | `⌈n / 16⌉ × k × 16`, a matrix in panels        | gemm, rank update, Adam step  |
//!
//! [`Lists`] of row ids let one call serve all tokens of a sentence. Every operation is a
//! kernel that exists once for each instruction set ([`Isa`]); [`isa()`] is the set that
//! this process uses.
//!
//! This folder is the only place with atomic accesses to weights, with `asm!`, and with
//! `unsafe` code. `docs/memory-model.md` holds the argument why it is sound.
//!
//! It knows nothing of tensors, gradients, workers or update rules.
#![allow(
    unsafe_code,
    reason = "vector access to shared memory needs assembly; the safety argument is in docs/memory-model.md"
)]

mod adam;
mod isa;
mod kernel;
mod lists;
mod pages;
mod panel;
mod rows;
mod stamps;
pub(crate) mod trace;
mod view;
mod weights;

pub use adam::{AdamStep, MissedSteps};
pub(crate) use isa::Vectorised;
pub use isa::{Isa, isa, isa_request};
pub use lists::Lists;
pub use panel::PanelView;
pub use rows::RowsView;
pub use stamps::Stamps;
pub use view::WeightsView;
pub use weights::SharedWeights;

/// The floats in a cache line of 64 bytes, which is also the width of a panel.
pub(crate) const LINE: usize = 16;

/// The floats in half a cache line: every view starts on a multiple of it.
pub(crate) const HALF_LINE: usize = 8;
