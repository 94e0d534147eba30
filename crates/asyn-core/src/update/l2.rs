//! Forms of L2: when the weights shrink.
//!
//! The objective is `Σ ℓ + λ/2 ‖w‖²` over `m` examples, and a weight with the step size `γ` is to
//! shrink by about `γ λ` in a pass:
//!
//! | Form         | Factor                | When                                    | Of             |
//! | ------------ | --------------------- | --------------------------------------- | -------------- |
//! | `Exact`      | `1 − γ λ/m`           | in every step                           | [`Sgd`]        |
//! | `OnTouch`    | `1 − γ λ/n`           | at each of a block's `n` uses in a pass | [`Adf`]        |
//! | `PerWindow`  | `1 − γ λ q/m`         | after each window of `q` examples       | [`Adf`], [`AdfCounting`] |
//! | `PerPass`    | `1 − γ λ`             | after each pass                         | all of these   |
//!
//! Only the first is stochastic gradient descent on the objective; it needs a scale that all
//! weights share, which rules with a step size for each block do not have. The last two are those
//! of the toolkit of Sun, Wang and Li (ACL 2012).
//!
//! [`Sgd`]: super::Sgd
//! [`Adf`]: super::Adf
//! [`AdfCounting`]: super::AdfCounting

use crate::Real;
use crate::error::{Error, Result};
use crate::layout::{Layout, Shape};
use crate::shared::SharedWeights;

/// When L2 shrinks the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L2Form {
    /// All weights in every step, as in stochastic gradient descent on the objective.
    Exact,
    /// A block at each of its uses, by its share of the pass.
    OnTouch,
    /// All weights after each window of a pass.
    PerWindow,
    /// All weights after each pass.
    PerPass,
}

/// Says which form was asked for, behind the strength; nothing where none was.
pub(super) fn in_words(form: Option<L2Form>) -> &'static str {
    match form {
        None => "",
        Some(L2Form::Exact) => " in every step",
        Some(L2Form::OnTouch) => " on touch",
        Some(L2Form::PerWindow) => " per window",
        Some(L2Form::PerPass) => " per pass",
    }
}

/// Refuses a form that an update rule does not have.
pub(super) fn check_form(form: L2Form, forms: &[L2Form], expected: &'static str) -> Result<()> {
    if forms.contains(&form) {
        Ok(())
    } else {
        Err(Error::Setting { setting: "form of l2", expected, actual: format!("{form:?}") })
    }
}

/// Multiplies each block by 1 less `shrink` of its number.
pub(super) fn shrink_blocks(
    layout: &Layout,
    weights: &mut SharedWeights,
    shrink: impl Fn(usize) -> Real,
) {
    let weights = weights.as_mut_slice();
    for tensor in layout.tensors() {
        let block_len = match tensor.shape {
            Shape::Rows { stride, .. } => stride,
            Shape::Dense { .. } | Shape::Panels { .. } => tensor.stored_len(),
        };
        let blocks = weights[tensor.start..][..tensor.stored_len()].chunks_exact_mut(block_len);
        for (block, number) in blocks.zip(tensor.first_block..) {
            let keep = (1.0 - shrink(number)).max(0.0);
            block.iter_mut().for_each(|weight| *weight *= keep);
        }
    }
}
