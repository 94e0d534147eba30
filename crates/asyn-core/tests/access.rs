//! Snapshots, replicas and sparse writes, as a model and its user see them.

mod tasks;

use std::panic::{AssertUnwindSafe, catch_unwind};

use asyn_core::{
    Adf, AsynGrad, Averaging, Batch, Gradient, Layout, Model, Read, Replicas, Schedule, Sgd,
    SharedWeights, TensorId, Touched, Trainer, Update, Worker, Write,
};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Plane, Slope, assert_close, bits};

/// A model that reads what it is told, and lists what it is told.
#[derive(Debug)]
struct Careless {
    layout: Layout,
    rows: TensorId,
    dense: TensorId,
    lists_rows: bool,
    lists_dense: bool,
}

impl Careless {
    fn new(lists_rows: bool, lists_dense: bool) -> Self {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", 4, 8);
        let dense = layout.dense("dense", 4, 4);
        Self { layout, rows, dense, lists_rows, lists_dense }
    }
}

impl Model for Careless {
    type Example = ();
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, _batch: &Batch<'_, ()>, (): &mut (), out: &mut Touched) {
        out.add_rows(self.rows, &[0]);
        if self.lists_rows {
            out.add_rows(self.rows, &[2]);
        }
        if self.lists_dense {
            out.add_whole(self.dense);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        _batch: &Batch<'_, ()>,
        (): &mut (),
        _gradient: &mut Gradient,
    ) -> f64 {
        worker.sum_rows(self.rows, &[0, 2], &mut [0.0; 8]);
        worker.read_whole(self.dense, &mut [0.0; 16]);
        0.0
    }
}

/// Returns the message with which training on snapshots panics, empty if it does not.
fn panic_of(model: &Careless) -> String {
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().read(Read::Snapshot).passes(1).build().unwrap();
    let run = catch_unwind(AssertUnwindSafe(|| trainer.fit(model, &[()], &mut weights, &mut ())));
    let message = run.map(|_| String::new());
    message.unwrap_or_else(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    })
}

#[test]
fn a_snapshot_holds_what_the_model_listed_and_nothing_else() {
    assert_eq!(panic_of(&Careless::new(true, true)), "");
    let rows = panic_of(&Careless::new(false, true));
    assert_eq!(rows, "row 2 was read, which the model did not list as touched");
    let dense = panic_of(&Careless::new(true, false));
    assert_eq!(dense, "a tensor was read that the model did not list as touched");
}

fn updates() -> (Sgd, Sgd, Adf) {
    let schedule = Schedule::Exponential { rate: 0.2, factor: 0.8 };
    let sgd = Sgd { schedule, l2: 0.5, ..Sgd::default() };
    (sgd, Sgd { averaging: Averaging::FromPass(1), ..sgd }, Adf { l2: 0.5, ..Adf::default() })
}

/// Trains with one worker.
fn train(update: impl Update, replicas: Option<Replicas>, threshold: f32) -> SharedWeights {
    let clicks = separable_clicks(400, 40, 4);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder()
        .update(update)
        .passes(3)
        .replicas(replicas)
        .sparse_threshold(threshold)
        .build()
        .unwrap();
    trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    weights
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn one_worker_with_a_replica_learns_what_it_learns_without() {
    fn check<U: Update + Copy>(update: U) {
        let without = train(update, None, 0.0).to_vec();
        let without: Vec<f64> = without.into_iter().map(f64::from).collect();
        // None, some and all of the rows, merged at once and seldom.
        for rows in [0, 7, 1000] {
            for merge_every in [1, 16, 10_000] {
                let with = train(update, Some(Replicas { rows, merge_every }), 0.0);
                let what = format!("{}, {rows} rows, every {merge_every}", update.name());
                assert_close(&with.to_vec(), &without, 1e-4, &what);
            }
        }
    }
    let (sgd, averaged, adf) = updates();
    check(sgd);
    check(averaged);
    check(adf);
}

/// Two workers that never read what they write add up all slopes: what a replica holds is
/// merged, at the latest when the segment ends.
#[test]
fn what_replicas_hold_reaches_the_shared_weights() {
    let model = Plane::new(4);
    let slopes = vec![Slope { rows: vec![0, 3], slope: 1.0 }; 500];
    let schedule = Schedule::Constant { rate: 0.5 };
    let trainer = Trainer::builder()
        .strategy(AsynGrad)
        .update(Sgd { schedule, l2: 0.0, ..Sgd::default() })
        .threads(2)
        .passes(1)
        .write(Write::Cas)
        .replicas(Some(Replicas { rows: 2, merge_every: 1_000_000 }))
        .build()
        .unwrap();
    let mut weights = model.initial_weights(1);
    trainer.fit(&model, &slopes, &mut weights, &mut ()).unwrap();
    assert_eq!(model.weights(&weights), [-250.0, 0.0, 0.0, -250.0]);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn sparse_writes_are_seeded_and_unbiased() {
    let model = Plane::new(2);
    // Row 1 is far above the threshold, row 0 so far below it that one write in eight is kept.
    let n = 8000;
    let slopes: Vec<Slope> = (0..2 * n)
        .map(|i| match i % 2 {
            0 => Slope { rows: vec![0], slope: 0.01 },
            _ => Slope { rows: vec![1], slope: 0.5 },
        })
        .collect();
    let train = |seed| {
        let schedule = Schedule::Constant { rate: 0.125 };
        let trainer = Trainer::builder()
            .update(Sgd { schedule, l2: 0.0, ..Sgd::default() })
            .passes(1)
            .seed(seed)
            .sparse_threshold(0.1)
            .build()
            .unwrap();
        let mut weights = model.initial_weights(1);
        trainer.fit(&model, &slopes, &mut weights, &mut ()).unwrap();
        weights
    };
    let weights = train(3);
    assert_eq!(bits(&train(3)), bits(&weights));
    assert_ne!(bits(&train(4)), bits(&weights));
    let [small, large] = model.weights(&weights)[..] else { unreachable!("two rows") };
    assert_eq!(large, -500.0);
    // The mean is −10, with a standard deviation of 10 sqrt(7 / 8000) = 0.3.
    assert!((small + 10.0).abs() < 1.5 && small != -10.0, "{small}");
}

#[test]
#[cfg_attr(miri, ignore = "thousands of steps")]
fn a_model_learns_with_sparse_writes() {
    fn check<U: Update + Copy>(update: U) {
        let clicks = separable_clicks(400, 40, 4);
        let model = Logistic::new(40);
        let weights = train(update, None, 0.1);
        let reader = Worker::reader(model.layout(), &weights);
        let right = |c: &&asyn_testing::Click| {
            (model.probability(&reader, &c.features) > 0.5) == c.positive
        };
        assert!(clicks.iter().filter(right).count() > 360, "{}", update.name());
    }
    let (sgd, averaged, adf) = updates();
    check(sgd);
    check(averaged);
    check(adf);
}
