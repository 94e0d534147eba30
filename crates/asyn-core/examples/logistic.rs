//! A model of one's own, trained with every strategy.
//!
//! Logistic regression, `p(positive) = σ(Σ w[f] + b)` over the features of an example: `w` is
//! made of rows, of which an example touches a few, and `b` is a tensor that all examples share.
#![allow(clippy::print_stdout, reason = "an example reports to its terminal")]

use asyn_core::{
    AsynGrad, Batch, Gradient, Layout, Model, Purpose, Real, Serial, SharedWeights, SplitMix64,
    Strategy, TensorId, Touched, Trainer, Worker,
};
use asyn_sync::{Locked, Minibatch, RoundRobin};

const N_FEATURES: u32 = 5000;

struct Example {
    /// The features, ascending.
    features: Vec<u32>,
    positive: bool,
}

struct Logistic {
    layout: Layout,
    w: TensorId,
    b: TensorId,
}

impl Logistic {
    fn new() -> Self {
        let mut layout = Layout::default();
        let w = layout.rows("w", N_FEATURES as usize, 1);
        let b = layout.dense("b", 1, 1);
        Self { layout, w, b }
    }

    fn probability(&self, worker: &Worker<'_>, features: &[u32]) -> Real {
        // A row is stored in 8 floats, a dense tensor in 16; the first one is the weight.
        let (mut score, mut bias) = ([0.0; 8], [0.0; 16]);
        worker.sum_rows(self.w, features, &mut score);
        worker.read_whole(self.b, &mut bias);
        1.0 / (1.0 + (-score[0] - bias[0]).exp())
    }
}

impl Model for Logistic {
    type Example = Example;
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, batch: &Batch<'_, Example>, (): &mut (), out: &mut Touched) {
        for example in batch.examples() {
            out.add_rows(self.w, &example.features);
            out.add_whole(self.b);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Example>,
        (): &mut (),
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for Example { features, positive } in batch.examples() {
            let p = self.probability(worker, features);
            loss -= f64::from(if *positive { p } else { 1.0 - p }).max(1e-30).ln();
            let error = p - Real::from(u8::from(*positive));
            gradient.add_rows(self.w, features, &[error, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
            gradient.sum(&self.layout, self.b)[0] += error;
        }
        loss
    }
}

/// Returns examples of a task in which even features speak for the positive class.
fn task(n: usize, seed: u64) -> Vec<Example> {
    let mut random = SplitMix64::stream(seed, Purpose::Model, 0, 0);
    let mut draw = |bound: u32| {
        u32::try_from(random.below(u64::from(bound))).expect("it is below a number of 32 bits")
    };
    (0..n)
        .map(|_| {
            let positive = draw(2) == 0;
            let mut features: Vec<u32> = (0..15)
                .map(|at| {
                    // One feature in three says what the class is, the others nothing.
                    let even = if at % 3 == 0 { positive } else { draw(2) == 0 };
                    // The lower of two draws, so that some features are frequent.
                    let feature = draw(N_FEATURES / 2).min(draw(N_FEATURES / 2));
                    2 * feature + u32::from(!even)
                })
                .collect();
            features.sort_unstable();
            features.dedup();
            Example { features, positive }
        })
        .collect()
}

fn accuracy(model: &Logistic, weights: &SharedWeights, examples: &[Example]) -> f64 {
    let reader = Worker::reader(&model.layout, weights);
    let right = |example: &&Example| {
        (model.probability(&reader, &example.features) > 0.5) == example.positive
    };
    examples.iter().filter(right).count() as f64 / examples.len() as f64
}

fn run(strategy: impl Strategy, train: &[Example], test: &[Example]) -> asyn_core::Result<()> {
    let model = Logistic::new();
    let name = strategy.name();
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let trainer = Trainer::builder().strategy(strategy).threads(threads).passes(5).build()?;
    let mut weights = model.initial_weights(1);
    let outcome = trainer.fit(&model, train, &mut weights, &mut ())?;
    let last = outcome.passes.last().expect("there were passes");
    println!(
        "{name:<12} {} workers   loss {:>8.1}   accuracy {:.4}   {:.3} s",
        trainer.n_workers(),
        last.loss,
        accuracy(&model, &weights, test),
        last.total_train_time.as_secs_f64()
    );
    Ok(())
}

fn main() -> asyn_core::Result<()> {
    let (train, test) = (task(50_000, 1), task(5000, 2));
    run(Serial, &train, &test)?;
    run(AsynGrad, &train, &test)?;
    run(Locked, &train, &test)?;
    run(RoundRobin, &train, &test)?;
    run(Minibatch::default(), &train, &test)
}
