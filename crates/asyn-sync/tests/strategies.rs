//! What every strategy promises, checked for each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use asyn_core::{
    Adf, AdfCounting, AsynGrad, Averaging, Delay, Model, Read, Replicas, Schedule, Serial, Sgd,
    SharedWeights, Strategy, Trainer, Update, Worker, Write,
};
use asyn_sync::{Bounded, Locked, Minibatch, RoundRobin};
use asyn_testing::{Click, Logistic, separable_clicks};

/// How the workers of a test read and write.
#[derive(Clone, Copy, Default)]
struct How {
    threads: usize,
    accumulate: u32,
    sums_every: u32,
    threshold: f32,
    replicas: Option<Replicas>,
    read: Read,
    write: Write,
    delay: Option<Delay>,
}

const PLAIN: How = How {
    threads: 1,
    accumulate: 1,
    sums_every: 1,
    threshold: 0.0,
    replicas: None,
    read: Read::InPlace,
    write: Write::Racy,
    delay: None,
};

fn train<S: Strategy, U: Update>(
    strategy: S,
    update: U,
    how: How,
    clicks: &[Click],
) -> (SharedWeights, u64) {
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder()
        .strategy(strategy)
        .update(update)
        .threads(how.threads)
        .passes(3)
        .seed(7)
        .accumulate(how.accumulate)
        .sums_every(how.sums_every)
        .sparse_threshold(how.threshold)
        .replicas(how.replicas)
        .read(how.read)
        .write(how.write)
        .delay(how.delay)
        .segment_len(90)
        .build()
        .unwrap();
    let outcome = trainer.fit(&model, clicks, &mut weights, &mut ()).unwrap();
    (weights, outcome.passes.iter().map(|pass| pass.examples).sum())
}

fn bits(weights: &SharedWeights) -> Vec<u32> {
    weights.to_vec().into_iter().map(f32::to_bits).collect()
}

fn sgd() -> Sgd {
    let schedule = Schedule::Exponential { rate: 0.3, factor: 0.8 };
    Sgd { schedule, l2: 0.5, ..Sgd::default() }
}

fn accuracy(weights: &SharedWeights, clicks: &[Click]) -> f64 {
    let model = Logistic::new(40);
    let reader = Worker::reader(model.layout(), weights);
    let right =
        clicks.iter().filter(|c| (model.probability(&reader, &c.features) > 0.5) == c.positive);
    right.count() as f64 / clicks.len() as f64
}

/// Sleeps about as long as a few steps take.
const DELAY: Option<Delay> = Some(Delay { mean: Duration::from_micros(20), probability: 0.25 });

/// Runs `check` with every update rule.
macro_rules! for_each_update {
    ($check:expr) => {
        $check(sgd(), "sgd");
        $check(Sgd { averaging: Averaging::FromPass(2), ..sgd() }, "asgd");
        $check(Adf { rate: 0.3, ..Adf::default() }, "adf");
        $check(AdfCounting(Adf { rate: 0.3, ..Adf::default() }), "adf-counting");
    };
}

#[test]
fn one_worker_is_the_serial_algorithm_bit_for_bit() {
    let clicks = separable_clicks(200, 40, 1);
    let settings = [
        PLAIN,
        How { accumulate: 4, ..PLAIN },
        How { sums_every: 8, threshold: 0.2, ..PLAIN },
        How { write: Write::Cas, ..PLAIN },
        How { read: Read::Snapshot, ..PLAIN },
    ];
    fn check<U: Update + Copy>(update: U, name: &str, how: How, clicks: &[Click]) {
        let serial = bits(&train(Serial, update, how, clicks).0);
        assert_eq!(bits(&train(AsynGrad, update, how, clicks).0), serial, "asyngrad, {name}");
        assert_eq!(
            bits(&train(Minibatch::default(), update, how, clicks).0),
            serial,
            "minibatch, {name}"
        );
        let bounded = Bounded { staleness: 0 };
        assert_eq!(bits(&train(bounded, update, how, clicks).0), serial, "bounded, {name}");
        let delayed = How { delay: DELAY, ..how };
        assert_eq!(bits(&train(Serial, update, delayed, clicks).0), serial, "delayed, {name}");
        if how.read == Read::Snapshot || how.sums_every == 1 {
            assert_eq!(bits(&train(Locked, update, how, clicks).0), serial, "locked, {name}");
            assert_eq!(
                bits(&train(RoundRobin, update, how, clicks).0),
                serial,
                "round-robin, {name}"
            );
        }
    }
    for how in settings {
        for_each_update!(|update, name| check(update, name, how, &clicks));
    }
    // Replicas round differently from direct writes, but alike in every strategy that allows them.
    let how = How { replicas: Some(Replicas { rows: 10, merge_every: 4 }), ..PLAIN };
    for_each_update!(|update, name| {
        let serial = bits(&train(Serial, update, how, &clicks).0);
        assert_eq!(bits(&train(AsynGrad, update, how, &clicks).0), serial, "replicas, {name}");
    });
}

#[test]
fn many_workers_visit_every_example_and_learn() {
    let clicks = separable_clicks(600, 40, 2);
    fn check<U: Update + Copy>(update: U, name: &str, clicks: &[Click]) {
        let how = How { threads: 8, ..PLAIN };
        let sparse = How {
            threshold: 0.02,
            sums_every: 4,
            replicas: Some(Replicas { rows: 8, merge_every: 4 }),
            ..how
        };
        let runs = [
            ("asyngrad", train(AsynGrad, update, how, clicks)),
            ("asyngrad cas", train(AsynGrad, update, How { write: Write::Cas, ..how }, clicks)),
            (
                "asyngrad snapshot",
                train(AsynGrad, update, How { read: Read::Snapshot, ..how }, clicks),
            ),
            ("asyngrad sparse", train(AsynGrad, update, sparse, clicks)),
            ("locked", train(Locked, update, how, clicks)),
            ("round-robin", train(RoundRobin, update, how, clicks)),
            ("minibatch", train(Minibatch::default(), update, how, clicks)),
            ("lock step", train(Bounded { staleness: 0 }, update, how, clicks)),
            ("bounded", train(Bounded { staleness: 3 }, update, how, clicks)),
            ("unbounded", train(Bounded { staleness: u32::MAX }, update, how, clicks)),
            ("delayed", train(AsynGrad, update, How { delay: DELAY, ..how }, clicks)),
            ("locked, delayed", train(Locked, update, How { delay: DELAY, ..how }, clicks)),
        ];
        for (strategy, (weights, examples)) in runs {
            assert_eq!(examples, 1800, "{strategy}, {name}");
            assert!(weights.to_vec().iter().all(|w| w.is_finite()), "{strategy}, {name}");
            let accuracy = accuracy(&weights, clicks);
            assert!(accuracy > 0.9, "{strategy}, {name}: accuracy {accuracy}");
        }
    }
    for_each_update!(|update, name| check(update, name, &clicks));
}

#[test]
fn minibatch_does_not_depend_on_timing() {
    let clicks = separable_clicks(200, 40, 3);
    let how = How { threads: 4, ..PLAIN };
    let first = bits(&train(Minibatch::default(), sgd(), how, &clicks).0);
    for _ in 0..3 {
        assert_eq!(bits(&train(Minibatch::default(), sgd(), how, &clicks).0), first);
    }
}

#[test]
fn a_panicking_worker_ends_the_run_with_its_message_and_hangs_nobody() {
    let mut clicks = separable_clicks(400, 40, 4);
    clicks[77].features.clear();
    fn check<S: Strategy>(strategy: S, clicks: &[Click]) {
        let name = strategy.name();
        let how = How { threads: 4, ..PLAIN };
        let run = catch_unwind(AssertUnwindSafe(|| train(strategy, sgd(), how, clicks)));
        let panic = run.map(|_| ()).expect_err(name);
        let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert_eq!(message, "an example without features", "{name}");
    }
    check(Serial, &clicks);
    check(AsynGrad, &clicks);
    check(Locked, &clicks);
    check(RoundRobin, &clicks);
    check(Minibatch::default(), &clicks);
    check(Bounded { staleness: 0 }, &clicks);
    check(Bounded { staleness: 3 }, &clicks);
}
