//! The simulator: the same computation as outside, in an order that follows from its costs.

use asyn_core::simulate::{CostModel, Simulated, SimulationReport};
use asyn_core::{
    AsynGrad, Batch, Gradient, Layout, Model, Real, Schedule, Serial, Sgd, SharedWeights, Strategy,
    TensorId, Touched, Trainer, Worker,
};
use asyn_testing::{Logistic, separable_clicks};

/// `q/2 ‖w‖²` of one row of weights, whatever the example.
struct Bowl {
    layout: Layout,
    row: TensorId,
    curvature: Real,
    /// Whether the weight is read and written on its own.
    by_cell: bool,
}

impl Bowl {
    fn new(curvature: Real) -> Self {
        let mut layout = Layout::default();
        let row = layout.rows("row", 1, 8);
        Self { layout, row, curvature, by_cell: false }
    }
}

impl Model for Bowl {
    type Example = ();
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, _: &Batch<'_, ()>, (): &mut (), out: &mut Touched) {
        out.add_rows(self.row, &[0]);
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, ()>,
        (): &mut (),
        gradient: &mut Gradient,
    ) -> f64 {
        for () in batch.examples() {
            if self.by_cell {
                let mut slope = [0.0];
                worker.gather(self.row, &[0], &mut slope);
                gradient.add_cells(self.row, &[0], &[self.curvature * slope[0]]);
                continue;
            }
            let mut slope = [0.0; 8];
            worker.sum_rows(self.row, &[0], &mut slope);
            slope.iter_mut().for_each(|w| *w *= self.curvature);
            gradient.add_rows(self.row, &[0], &slope);
        }
        0.0
    }
}

/// Runs `steps` steps from weights of 1 and returns the first weight and what was counted.
fn descend(
    cost: CostModel,
    workers: usize,
    curvature: Real,
    rate: Real,
    steps: usize,
) -> (Real, SimulationReport) {
    roll(&Bowl::new(curvature), cost, workers, rate, steps)
}

fn roll(
    bowl: &Bowl,
    cost: CostModel,
    workers: usize,
    rate: Real,
    steps: usize,
) -> (Real, SimulationReport) {
    let mut weights = SharedWeights::zeroed(bowl.layout.len());
    weights.as_mut_slice().fill(1.0);
    let simulated = Simulated::new(AsynGrad, cost).unwrap();
    let sgd = Sgd { schedule: Schedule::Constant { rate }, l2: 0.0, ..Sgd::default() };
    let trainer = Trainer::builder().strategy(&simulated).update(sgd).threads(workers).passes(1);
    let trainer = trainer.build().unwrap();
    trainer.fit(bowl, &vec![(); steps], &mut weights, &mut ()).unwrap();
    (weights.to_vec()[0], simulated.report())
}

/// Reads and writes at once, computation takes as long for everybody: each worker sees the
/// weights as they were `workers - 1` updates ago.
const CONSTANT_DELAY: CostModel =
    CostModel { load: 0.0, store: 0.0, miss: 0.0, compute: 100.0, grain: 0.0 };

/// Every access is a point at which another worker may come in between.
const FINE: CostModel = CostModel { grain: 0.0, ..COSTS };
const COSTS: CostModel =
    CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 500.0 };

/// The clicks of a pass.
const N: u16 = if cfg!(miri) { 15 } else { 300 };

fn train(strategy: impl Strategy, threads: usize) -> Vec<Real> {
    let clicks = separable_clicks(usize::from(N), 40, 1);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().strategy(strategy).threads(threads).passes(3).seed(5);
    trainer.build().unwrap().fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    weights.to_vec()
}

#[test]
fn one_worker_computes_what_serial_computes() {
    let simulated = Simulated::new(AsynGrad, FINE).unwrap();
    assert_eq!(train(&simulated, 1), train(Serial, 1));
    let report = simulated.report();
    assert_eq!((report.overwritten_steps, report.lost_stores, report.misses), (0, 0, 0));
    assert_eq!(report.steps, 3 * u64::from(N));
    assert!(report.seconds > 0.0);
}

#[test]
fn the_same_settings_give_the_same_run() {
    let run = || {
        let simulated = Simulated::new(AsynGrad, FINE).unwrap();
        (train(&simulated, 5), simulated.report())
    };
    let (weights, report) = run();
    assert_eq!((weights.clone(), report.clone()), run());
    assert!(report.overwritten_steps > 0, "{report:?}");
    assert_ne!(weights, train(Serial, 1));
}

/// `γ q < 2 sin(π / (2 (2T + 1)))` is the exact limit of gradient descent on a quadratic with
/// delay T.
#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn a_constant_delay_has_its_exact_limit_of_stability() {
    for delay in [0_u16, 1, 3, 9] {
        let workers = usize::from(delay) + 1;
        // Workers are given eight steps at once. As many for each, or the last one would end
        // alone, without a delay.
        let steps = 1600_usize.next_multiple_of(8 * workers);
        let angle = std::f32::consts::PI / (2.0 * f32::from(2 * delay + 1));
        let limit = 2.0 * angle.sin() / 2.5;
        let end = |rate| descend(CONSTANT_DELAY, workers, 2.5, rate, steps).0.abs();
        assert!(end(0.99 * limit) < 1.0, "delay {delay}: {}", end(0.99 * limit));
        assert!(end(1.01 * limit) > 1.0, "delay {delay}: {}", end(1.01 * limit));
    }
}

#[test]
#[cfg_attr(miri, ignore = "hundreds of steps")]
fn single_weights_are_followed_as_vectors_are() {
    let bowl = Bowl { by_cell: true, ..Bowl::new(1.0) };
    let (_, alone) = roll(&bowl, FINE, 1, 0.01, 400);
    assert_eq!((alone.loads, alone.stores, alone.lost_stores), (800, 400, 0));
    let (_, report) = roll(&bowl, FINE, 2, 0.01, 400);
    assert!(report.overwritten_steps > 0 && report.lost_stores > 0, "{report:?}");
    assert!(report.misses > 0 && report.seconds > 0.0, "{report:?}");
}

#[test]
#[cfg_attr(miri, ignore = "hundreds of steps")]
fn additions_that_interleave_are_lost_and_counted() {
    let (weight, report) = descend(FINE, 2, 1.0, 0.01, 400);
    assert!(report.lost_stores > 0, "{report:?}");
    assert!(report.misses > 0, "{report:?}");
    let serial = 0.99_f32.powi(400);
    assert!(weight > serial, "a lost update leaves the weight higher: {weight}");

    let (_, report) = descend(CONSTANT_DELAY, 2, 1.0, 0.01, 400);
    assert_eq!(report.lost_stores, 0, "nobody comes between load and store");
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn a_coarse_grain_hides_races() {
    let (_, fine) = descend(FINE, 4, 1.0, 0.01, 1000);
    let coarse = CostModel { grain: 1e6, ..FINE };
    let (_, coarse) = descend(coarse, 4, 1.0, 0.01, 1000);
    assert!(coarse.switches < fine.switches / 10);
    assert!(coarse.lost_stores < fine.lost_stores);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn workers_without_contention_share_the_time() {
    let free = CostModel { miss: 0.0, load: 1.0, store: 1.0, compute: 1000.0, grain: 0.0 };
    let (_, one) = descend(free, 1, 0.0, 0.1, 4000);
    let (_, eight) = descend(free, 8, 0.0, 0.1, 4000);
    let speedup = one.seconds / eight.seconds;
    assert!((7.9..=8.0).contains(&speedup), "{speedup}");
}

#[test]
fn a_cost_that_is_no_time_is_refused() {
    let cost = CostModel { miss: f64::NAN, ..FINE };
    let error = Simulated::new(AsynGrad, cost).unwrap_err().to_string();
    assert!(error.contains("cost of a miss") && error.contains("NaN"), "{error}");
}
