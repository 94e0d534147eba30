//! Logistic regression over sparse binary features, with a bias.

use asyn_core::{
    Batch, Gradient, Layout, Model, Purpose, Real, SplitMix64, TensorId, Touched, Worker,
};

/// One example: which features it has, ascending, and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The features, ascending.
    pub features: Vec<u32>,
    /// The class.
    pub positive: bool,
}

/// `p = σ(Σ w[f] + bias)`: one row tensor and one whole tensor.
///
/// An example without features makes the gradient panic, for tests of strategies.
#[derive(Debug, Clone)]
pub struct Logistic {
    layout: Layout,
    features: TensorId,
    bias: TensorId,
}

impl Logistic {
    /// Makes a model of `n_features` features.
    #[must_use]
    pub fn new(n_features: usize) -> Self {
        let mut layout = Layout::default();
        let features = layout.rows("features", n_features, 1);
        let bias = layout.dense("bias", 1, 1);
        Self { layout, features, bias }
    }

    /// Returns the probability of the positive class.
    #[must_use]
    pub fn probability(&self, worker: &Worker<'_>, features: &[u32]) -> Real {
        let mut score = [0.0; 8];
        worker.sum_rows(self.features, features, &mut score);
        let mut bias = [0.0; 16];
        worker.read_whole(self.bias, &mut bias);
        1.0 / (1.0 + (-score[0] - bias[0]).exp())
    }
}

impl Model for Logistic {
    type Example = Click;
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, batch: &Batch<'_, Click>, (): &mut (), out: &mut Touched) {
        for click in batch.examples() {
            out.add_rows(self.features, &click.features);
            out.add_whole(self.bias);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Click>,
        (): &mut (),
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for click in batch.examples() {
            assert!(!click.features.is_empty(), "an example without features");
            let p = self.probability(worker, &click.features);
            let error = if click.positive { p - 1.0 } else { p };
            loss -= f64::from(if click.positive { p } else { 1.0 - p }).ln();
            let mut values = [0.0; 8];
            values[0] = error;
            gradient.add_rows(self.features, &click.features, &values);
            gradient.sum(&self.layout, self.bias)[0] += error;
        }
        loss
    }
}

/// Returns a seeded task that a linear model can separate: the class is decided by
/// which of two groups of features an example has more of.
///
/// # Panics
///
/// Panics if there are fewer than two features.
#[must_use]
pub fn separable_clicks(n: usize, n_features: u32, seed: u64) -> Vec<Click> {
    let mut random = SplitMix64::stream(seed, Purpose::Calibration, 0, 0);
    (0..n)
        .map(|_| {
            let positive = random.below(2) == 1;
            let half = u64::from(n_features / 2);
            let mut features: Vec<u32> = (0..5)
                .map(|at| {
                    // The first three features of an example speak for its class.
                    let side = if at < 3 { positive } else { random.below(2) == 1 };
                    let feature = random.below(half) + if side { half } else { 0 };
                    u32::try_from(feature).expect("features are few")
                })
                .collect();
            features.sort_unstable();
            features.dedup();
            Click { features, positive }
        })
        .collect()
}
