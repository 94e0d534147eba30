//! The models of `asyn`.
//!
//! | Model    | What it is                                             |
//! | -------- | ------------------------------------------------------ |
//! | [`Crf`]  | linear-chain conditional random field with rich edges  |
//!
//! A model says where its weights lie and computes gradients and answers; it never
//! spawns a thread and never writes a weight. Training belongs to `asyn-core`.

mod crf;
mod error;
mod kernel;

pub use crf::{Crf, CrfShape, CrfWorkspace, Marginals, Pieces};
pub use error::{Error, Result};
