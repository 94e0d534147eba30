//! Strategies that coordinate their workers: the baselines of asynchronous learning.
//!
//! | Strategy       | Order     | Reads and writes                                  | Staleness          |
//! | -------------- | --------- | ------------------------------------------------- | ------------------ |
//! | [`Locked`]     | any       | copy and write under one lock, gradient outside   | what others manage |
//! | [`RoundRobin`] | fixed     | the same, each worker in its turn                 | `k − 1`            |
//! | [`Minibatch`]  | a barrier | all read the same weights, one writes             | 0                  |
//! | [`Bounded`]    | any       | live weights, nobody far ahead of the slowest     | bounded in steps   |
//!
//! All run the same acts on the same kernels as `Serial` and `AsynGrad` of `asyn-core`; one
//! worker of any of them computes what `Serial` computes, bit for bit.
//!
//! ```
//! use asyn_core::Trainer;
//! use asyn_sync::Locked;
//!
//! let trainer = Trainer::builder().strategy(Locked).threads(2).build()?;
//! assert_eq!(trainer.n_workers(), 2);
//! # Ok::<(), asyn_core::Error>(())
//! ```

mod barrier;
mod bounded;
mod clocks;
mod locked;
mod minibatch;
mod primitive;
mod round_robin;
mod turn;

pub use bounded::Bounded;
pub use locked::Locked;
pub use minibatch::Minibatch;
pub use round_robin::RoundRobin;
