//! The gradient of each example as it was when the example was last drawn.
//!
//! A rule that replaces what an example contributed, instead of adding to it, needs the difference
//! of its gradients: incremental EM does. An example is drawn once a pass, by one worker, and passes
//! do not overlap, so nobody ever waits for a lock.

use parking_lot::Mutex;

use crate::batch::Batch;
use crate::gradient::Gradient;
use crate::model::Model;
use crate::worker::Worker;

/// A gradient for each example that was drawn so far.
#[derive(Debug)]
pub struct Remembered {
    gradients: Vec<Mutex<Option<Gradient>>>,
}

impl Remembered {
    /// Makes room for so many examples.
    #[must_use]
    pub fn new(n_examples: usize) -> Self {
        Self { gradients: (0..n_examples).map(|_| Mutex::new(None)).collect() }
    }

    /// Adds to `out` by how much the gradient of each example differs from the one that is
    /// remembered, or all of it where none is; remembers it, and returns the loss.
    pub(crate) fn changes<M: Model>(
        &self,
        model: &M,
        worker: &Worker<'_>,
        batch: &Batch<'_, M::Example>,
        workspace: &mut M::Workspace,
        out: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        let mut now = Gradient::new(0.0);
        for (id, example) in batch.singly() {
            now.clear();
            now.clear_sums();
            loss += model.gradient(worker, &example, workspace, &mut now);
            let slot = &self.gradients[id as usize];
            let mut before = slot.lock();
            out.add_change(model.layout(), &now, before.as_ref());
            // What was remembered has room for the next example.
            now = before.replace(now).unwrap_or_else(|| Gradient::new(0.0));
        }
        loss
    }
}
