//! The training of a word aligner: of one direction, or of both so that they agree.

use asyn_core::{Multinomials, Observer, Outcome, Real, SharedWeights, Strategy, Trainer, Update};
use asyn_data::Bitext;
use asyn_models::{AgreeingAligners, Aligner, AlignmentPair, Distortion};

use crate::error::Result;
use crate::word_aligner::{Direction, Trained, WordAligner};

/// The training of one direction.
#[derive(Debug)]
pub struct AlignmentTask {
    trained: Trained,
    pairs: Vec<AlignmentPair>,
}

/// The training of both directions, so that they agree.
#[derive(Debug)]
pub struct AgreementTask {
    both: AgreeingAligners,
    weights: SharedWeights,
    pairs: Vec<[AlignmentPair; 2]>,
    /// For each direction, the number of all its pairs and of its steps.
    counted: [(u64, u64); 2],
}

impl AlignmentTask {
    /// Gets ready to train a direction on the pairs whose sides both have from 1 to `most` words.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there are too many pairs of words.
    pub fn new(
        bitext: &Bitext,
        direction: Direction,
        distortion: Distortion,
        most: usize,
    ) -> Result<Self> {
        let task = WordAligner::new(bitext).task(direction, bitext, most, true)?;
        Ok(task.with_distortion(distortion))
    }

    pub(crate) fn new_of(trained: Trained, pairs: Vec<AlignmentPair>) -> Self {
        Self { trained, pairs }
    }

    pub(crate) fn into_trained(self) -> Trained {
        self.trained
    }

    /// Returns the model.
    pub fn aligner(&self) -> &Aligner {
        &self.trained.aligner
    }

    /// Goes on with another distortion, at the counts so far.
    #[must_use]
    pub fn with_distortion(mut self, distortion: Distortion) -> Self {
        self.trained.aligner = self.trained.aligner.with_distortion(distortion);
        self
    }

    /// Goes on with a prior that is worth `prior` counts, at least 0, of each target word.
    ///
    /// # Panics
    ///
    /// If the prior is negative or not finite.
    #[must_use]
    pub fn with_prior(mut self, prior: Real) -> Self {
        self.trained.aligner = self.trained.aligner.with_prior(prior, self.trained.n_pairs);
        self
    }

    /// Returns the number of pairs that are trained on.
    pub fn n_pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Returns the number of steps that trained the direction so far.
    pub fn n_steps(&self) -> u64 {
        self.trained.n_steps
    }

    /// Counts steps that [`fit`](Self::fit) made.
    pub fn add_steps(&mut self, n_steps: u64) {
        self.trained.n_steps += n_steps;
    }

    /// Returns the number of pairs of words, the empty word included, that a pass looks at.
    pub fn n_cells(&self) -> u64 {
        self.pairs.iter().map(n_cells).sum()
    }

    /// Trains.
    ///
    /// # Errors
    ///
    /// [`Error::Training`](crate::Error::Training), as [`Trainer::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        // While a text is trained on, weights are counts of its pairs.
        let share = self.share();
        self.trained.scale(share);
        let Trained { aligner, weights, .. } = &mut self.trained;
        let outcome = trainer.fit(aligner, &self.pairs, weights, observer);
        self.trained.scale(1.0 / share);
        Ok(outcome?)
    }

    /// Returns the pairs of this text over all that were trained on.
    fn share(&self) -> f64 {
        self.pairs.len().max(1) as f64 / self.trained.n_pairs as f64
    }
}

impl AgreementTask {
    /// Joins the two directions of a text.
    ///
    /// # Panics
    ///
    /// If they do not have the same number of pairs.
    pub fn join(mut forward: AlignmentTask, mut backward: AlignmentTask) -> Self {
        assert_eq!(forward.n_pairs(), backward.n_pairs(), "two directions of a text");
        for task in [&mut forward, &mut backward] {
            task.trained.scale(task.share());
        }
        let pairs = forward.pairs.into_iter().zip(backward.pairs);
        let pairs = pairs.map(|(forward, backward)| [forward, backward]).collect();
        let [forward, backward] = [forward.trained, backward.trained];
        let counted = [&forward, &backward].map(|it| (it.n_pairs, it.n_steps));
        let (both, weights) = AgreeingAligners::join(
            (forward.aligner, forward.weights),
            (backward.aligner, backward.weights),
        );
        Self { both, weights, pairs, counted }
    }

    /// Parts the two directions again: forward and backward.
    pub fn split(self) -> [AlignmentTask; 2] {
        let [forward, backward] = self.both.split(&self.weights);
        let (of_forward, of_backward): (Vec<_>, Vec<_>) =
            self.pairs.into_iter().map(<(_, _)>::from).unzip();
        let parts =
            [(forward, of_forward, self.counted[0]), (backward, of_backward, self.counted[1])];
        parts.map(|((aligner, weights), pairs, (n_pairs, n_steps))| {
            let trained = Trained { aligner, weights, n_pairs, n_steps };
            let mut task = AlignmentTask { trained, pairs };
            task.trained.scale(1.0 / task.share());
            task
        })
    }

    /// Returns the distributions whose totals are weights.
    pub fn multinomials(&self) -> Vec<Multinomials> {
        self.both.multinomials()
    }

    /// Returns the number of pairs that are trained on.
    pub fn n_pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Returns the number of steps that trained the two directions so far, the greater one.
    pub fn n_steps(&self) -> u64 {
        self.counted.iter().map(|&(_, n_steps)| n_steps).max().unwrap_or(0)
    }

    /// Counts steps that [`fit`](Self::fit) made.
    pub fn add_steps(&mut self, n_steps: u64) {
        self.counted.iter_mut().for_each(|(_, n)| *n += n_steps);
    }

    /// Returns the number of pairs of words, the empty words included, that a pass looks at.
    pub fn n_cells(&self) -> u64 {
        self.pairs.iter().flatten().map(n_cells).sum()
    }

    /// Trains.
    ///
    /// # Errors
    ///
    /// As [`AlignmentTask::fit`].
    ///
    /// # Panics
    ///
    /// Propagates the panic of a worker.
    pub fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome> {
        Ok(trainer.fit(&self.both, &self.pairs, &mut self.weights, observer)?)
    }
}

fn n_cells(pair: &AlignmentPair) -> u64 {
    ((pair.n_source() + 1) * pair.n_target()) as u64
}
