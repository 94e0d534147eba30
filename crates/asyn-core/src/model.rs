//! What a model has to offer to be trained, and to be used.

use crate::batch::Batch;
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::shared::SharedWeights;
use crate::touched::Touched;
use crate::worker::Worker;

/// A model: where its weights lie, and the gradient of its loss.
///
/// A model never spawns a thread and never writes a weight. It reads weights
/// through a [`Worker`], whatever the strategy, and describes its gradient in a
/// [`Gradient`].
pub trait Model: Sync {
    /// One training example, encoded.
    type Example: Sync;
    /// The scratch memory of one worker, made once a run.
    type Workspace: Send;

    /// Returns the places of the weights.
    fn layout(&self) -> &Layout;

    /// Makes the scratch memory of one worker.
    fn workspace(&self) -> Self::Workspace;

    /// Lists the blocks that the gradient of `batch` reads. It adds to no others.
    fn touched(
        &self,
        batch: &Batch<'_, Self::Example>,
        workspace: &mut Self::Workspace,
        out: &mut Touched,
    );

    /// Adds the gradient of the summed loss of `batch` to `gradient`, and returns that loss.
    ///
    /// Reads only blocks that [`Model::touched`] lists. The rows of one read or
    /// of one [`Gradient::add_rows`] are ascending, so that frequent rows, which
    /// have small numbers, come first.
    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Self::Example>,
        workspace: &mut Self::Workspace,
        gradient: &mut Gradient,
    ) -> f64;

    /// Returns the weights to start from: 0, unless the model says otherwise.
    fn initial_weights(&self, _seed: u64) -> SharedWeights {
        SharedWeights::zeroed(self.layout().len())
    }
}

/// A model that answers: labels of tokens, a class, an alignment.
pub trait Decode: Model {
    /// What an answer is; reused from example to example.
    type Output: Default;

    /// Computes the answer to `example` into `out`, reading weights only.
    fn decode(
        &self,
        worker: &Worker<'_>,
        example: &Self::Example,
        workspace: &mut Self::Workspace,
        out: &mut Self::Output,
    );
}
