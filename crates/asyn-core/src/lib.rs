//! Shared weights, workers, gradients, updates and the trainer of `asyn`.

pub mod shared;
