//! What the tests of `asyn` share: a tiny task, and gradients computed the slow way.
//!
//! | Item               | Use                                                      |
//! | ------------------ | -------------------------------------------------------- |
//! | [`Logistic`]       | the smallest model with row and whole tensors            |
//! | [`check_gradient`] | a model's gradient against central differences of its loss |
//! | [`chain`]          | linear chains by enumeration and in f64                  |
//! | [`lstm`]           | bidirectional LSTMs in f64                               |
//!
//! For tests only; nothing here is fast.

pub mod chain;
mod check;
mod logistic;
pub mod lstm;

pub use check::{check_gradient, gradient_of, loss_of};
pub use logistic::{Click, Logistic, separable_clicks};
