//! Models that the tests of the trainer and of the update rules train.
#![allow(dead_code, reason = "each test file uses a part of it")]

use asyn_core::{
    Batch, Event, Gradient, Layout, Model, Real, SharedWeights, Strategy, TensorId, Touched,
    Trainer, Update, Worker,
};
use parking_lot::Mutex;
use std::ops::ControlFlow;

/// A plane: the loss is `Σ slope w` over the rows of an example, so the gradient of each of
/// them is `slope`, whatever the weights.
#[derive(Debug)]
pub(crate) struct Plane {
    layout: Layout,
    rows: TensorId,
}

/// The rows that an example uses, ascending, and the slope in their direction.
#[derive(Debug, Clone)]
pub(crate) struct Slope {
    pub(crate) rows: Vec<u32>,
    pub(crate) slope: Real,
}

impl Plane {
    pub(crate) fn new(n_rows: usize) -> Self {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", n_rows, 1);
        Self { layout, rows }
    }

    /// Returns the first weight of each row.
    pub(crate) fn weights(&self, weights: &SharedWeights) -> Vec<Real> {
        self.layout.export(weights, self.rows).into_iter().collect()
    }

    /// Returns weights with `value` in every row.
    pub(crate) fn filled(&self, value: Real) -> SharedWeights {
        let mut weights = SharedWeights::zeroed(self.layout.len());
        weights.as_mut_slice().fill(value);
        weights
    }
}

impl Model for Plane {
    type Example = Slope;
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, batch: &Batch<'_, Slope>, (): &mut (), out: &mut Touched) {
        batch.examples().for_each(|example| out.add_rows(self.rows, &example.rows));
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Slope>,
        (): &mut (),
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for Slope { rows, slope } in batch.examples() {
            let mut sum = [0.0; 8];
            worker.sum_rows(self.rows, rows, &mut sum);
            loss += f64::from(slope * sum[0]);
            let mut values = [0.0; 8];
            values[0] = *slope;
            gradient.add_rows(self.rows, rows, &values);
        }
        loss
    }
}

/// Another model that keeps note of which examples it sees, and in which pass.
#[derive(Debug)]
pub(crate) struct Noted<M> {
    pub(crate) model: M,
    pub(crate) seen: Mutex<Vec<(u32, u32)>>,
}

impl<M> Noted<M> {
    pub(crate) fn new(model: M) -> Self {
        Self { model, seen: Mutex::default() }
    }

    /// Returns the examples of pass `pass`, counted from 0, in the order in which they came.
    pub(crate) fn order(&self, pass: u32) -> Vec<u32> {
        self.seen.lock().iter().filter(|seen| seen.0 == pass).map(|seen| seen.1).collect()
    }
}

impl<M: Model> Model for Noted<M> {
    type Example = M::Example;
    type Workspace = M::Workspace;

    fn layout(&self) -> &Layout {
        self.model.layout()
    }

    fn workspace(&self) -> M::Workspace {
        self.model.workspace()
    }

    fn touched(
        &self,
        batch: &Batch<'_, M::Example>,
        workspace: &mut M::Workspace,
        out: &mut Touched,
    ) {
        self.model.touched(batch, workspace, out);
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, M::Example>,
        workspace: &mut M::Workspace,
        gradient: &mut Gradient,
    ) -> f64 {
        self.seen.lock().extend(batch.ids().iter().map(|&id| (batch.pass, id)));
        self.model.gradient(worker, batch, workspace, gradient)
    }
}

/// Trains and returns the weights after each segment, as the update rule means them.
pub(crate) fn trace<M: Model, S: Strategy, U: Update>(
    trainer: &Trainer<S, U>,
    model: &M,
    examples: &[M::Example],
    weights: &mut SharedWeights,
) -> Vec<Vec<Real>> {
    let mut trace = Vec::new();
    let mut observer = |event: Event<'_, '_>| {
        if let Event::Progress { quiet, .. } | Event::PassEnded { quiet, .. } = event {
            trace.push(quiet.weights().to_vec());
        }
        ControlFlow::Continue(())
    };
    trainer.fit(model, examples, weights, &mut observer).unwrap();
    trace
}

/// Panics unless the two vectors agree to `tolerance`, relative to the larger of 1 and the
/// value that is expected.
#[track_caller]
pub(crate) fn assert_close(actual: &[Real], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs() / expected.abs().max(1.0);
        assert!(error <= tolerance, "{what}, weight {index}: {actual} instead of {expected}");
    }
}

/// Returns the bits of all weights, for comparisons that allow no rounding.
pub(crate) fn bits(weights: &SharedWeights) -> Vec<u32> {
    weights.to_vec().into_iter().map(f32::to_bits).collect()
}
