//! Gradients against central differences.

use asyn_core::{Batch, Gradient, Model, Real, SharedWeights, Worker};

/// Returns the loss of one example at the weights `at`.
pub fn loss_of<M: Model>(model: &M, at: &[Real], example: &M::Example) -> f64
where
    M::Example: Clone,
{
    gradient_of(model, at, example).0
}

/// Returns the loss of one example and its gradient as a plain vector.
pub fn gradient_of<M: Model>(model: &M, at: &[Real], example: &M::Example) -> (f64, Vec<f64>)
where
    M::Example: Clone,
{
    let mut weights = SharedWeights::zeroed(model.layout().len());
    weights.as_mut_slice()[..at.len()].copy_from_slice(at);
    let worker = Worker::reader(model.layout(), &weights);
    let examples = [example.clone()];
    let mut gradient = Gradient::new(0.0);
    let mut workspace = model.workspace();
    let batch = Batch::new(0, 0, &[0], &examples);
    let loss = model.gradient(&worker, &batch, &mut workspace, &mut gradient);
    let mut plain = vec![0.0; model.layout().len()];
    gradient.add_to(model.layout(), &mut plain);
    (loss, plain)
}

/// Checks a model's gradient at `at` against central differences of its own loss.
///
/// The loss is computed in `f32`, so the step is large and the tolerance wide; a model
/// that has an `f64` reference is compared with that instead.
///
/// # Panics
///
/// Panics if a component differs by more than `tolerance`, relative to the larger of 1 and
/// its size.
#[track_caller]
pub fn check_gradient<M: Model>(model: &M, at: &[Real], example: &M::Example, tolerance: f64)
where
    M::Example: Clone,
{
    const STEP: Real = 1.0 / 64.0;
    let (_, gradient) = gradient_of(model, at, example);
    let mut moved = at.to_vec();
    for index in 0..at.len() {
        moved[index] = at[index] + STEP;
        let above = loss_of(model, &moved, example);
        moved[index] = at[index] - STEP;
        let below = loss_of(model, &moved, example);
        moved[index] = at[index];
        let difference = (above - below) / f64::from(2.0 * STEP);
        let error = (difference - gradient[index]).abs() / gradient[index].abs().max(1.0);
        assert!(
            error < tolerance,
            "weight {index}: gradient {}, central difference {difference}",
            gradient[index]
        );
    }
}
