//! AdaptiveRevision is AdaGrad without delay, and learns with it.
// Thousands of steps of safe arithmetic, which Miri would take minutes for.
#![cfg(not(miri))]

mod tasks;

use asyn_core::simulate::{CostModel, Simulated};
use asyn_core::{
    AdaptiveRevision, AsynGrad, Error, Model, Read, Replicas, Serial, SharedWeights, Strategy,
    Trainer, Worker,
};
use asyn_testing::{Click, Logistic, separable_clicks};
use tasks::{Noted, assert_close, bits, trace};

const N_FEATURES: u32 = 40;
const N_ROWS: usize = N_FEATURES as usize;

#[test]
fn without_delay_it_is_adagrad() {
    let (rate, l2, n) = (0.5, 2.0, 300);
    let clicks = separable_clicks(n, N_FEATURES, 3);
    let model = Noted::new(Logistic::new(N_ROWS));
    let update = AdaptiveRevision { rate, l2 };
    let trainer = Trainer::builder().update(update).passes(2).segment_len(1).build().unwrap();
    let mut weights = model.model.initial_weights(1);
    let trace = trace(&trainer, &model, &clicks, &mut weights);

    // Duchi, Hazan and Singer (2011), with sums of squares that start at 1; the bias is the last.
    let mut uses = vec![0.0; N_ROWS + 1];
    for click in &clicks {
        click.features.iter().for_each(|&feature| uses[feature as usize] += 1.0);
        uses[N_ROWS] += 1.0;
    }
    let mut expected = vec![0.0f64; N_ROWS + 1];
    let mut squares = vec![1.0f64; N_ROWS + 1];
    let mut quiet = trace.iter();
    for id in (0..2).flat_map(|pass| model.order(pass)) {
        let click = &clicks[id as usize];
        let used: Vec<usize> = click.features.iter().map(|&f| f as usize).chain([N_ROWS]).collect();
        let score: f64 = used.iter().map(|&at| expected[at]).sum();
        let error = 1.0 / (1.0 + (-score).exp()) - f64::from(u8::from(click.positive));
        for at in used {
            let gradient = error + f64::from(l2) / uses[at] * expected[at];
            squares[at] += gradient * gradient;
            expected[at] -= f64::from(rate) / squares[at].sqrt() * gradient;
        }
        let now = quiet.next().expect("one quiet point an example");
        let actual: Vec<f32> = now.chunks(8).take(N_ROWS + 1).map(|row| row[0]).collect();
        assert_close(&actual, &expected, 1e-4, "after an example");
    }
}

/// Trains three passes and returns the weights.
fn train(strategy: impl Strategy, threads: usize, read: Read, clicks: &[Click]) -> SharedWeights {
    let model = Logistic::new(N_ROWS);
    let mut weights = model.initial_weights(1);
    let update = AdaptiveRevision { rate: 0.5, l2: 0.1 };
    let builder = Trainer::builder().strategy(strategy).update(update).threads(threads).read(read);
    let trainer = builder.passes(3).build().unwrap();
    trainer.fit(&model, clicks, &mut weights, &mut ()).unwrap();
    weights
}

/// Returns the mean loss.
fn loss(weights: &SharedWeights, clicks: &[Click]) -> f64 {
    let model = Logistic::new(N_ROWS);
    let reader = Worker::reader(model.layout(), weights);
    let of = |click: &Click| {
        let p = model.probability(&reader, &click.features);
        -f64::from(if click.positive { p } else { 1.0 - p }).ln()
    };
    clicks.iter().map(of).sum::<f64>() / clicks.len() as f64
}

#[test]
fn one_worker_is_the_serial_algorithm_bit_for_bit() {
    let clicks = separable_clicks(300, N_FEATURES, 4);
    for read in [Read::InPlace, Read::Snapshot] {
        let serial = bits(&train(Serial, 1, read, &clicks));
        assert_eq!(bits(&train(AsynGrad, 1, read, &clicks)), serial);
        let simulated = Simulated::new(AsynGrad, CostModel::default()).unwrap();
        assert_eq!(bits(&train(&simulated, 1, read, &clicks)), serial);
    }
}

#[test]
fn it_learns_though_gradients_are_late() {
    let clicks = separable_clicks(2000, N_FEATURES, 5);
    let serial = loss(&train(Serial, 1, Read::InPlace, &clicks), &clicks);
    assert!(serial < 0.35, "{serial}");
    // Computing takes far longer than all else, so a gradient is as many steps old as there are
    // other workers.
    let cost = CostModel { compute: 1000.0, grain: 0.0, ..CostModel::default() };
    for threads in [4, 16] {
        let simulated = Simulated::new(AsynGrad, cost).unwrap();
        let late = loss(&train(&simulated, threads, Read::Snapshot, &clicks), &clicks);
        assert!(late < serial + 0.02, "{threads} workers: {late}, serial {serial}");
    }
    let raced = loss(&train(AsynGrad, 8, Read::InPlace, &clicks), &clicks);
    assert!(raced < serial + 0.05, "{raced}, serial {serial}");
}

#[test]
fn replicas_are_refused() {
    let update = AdaptiveRevision { rate: 0.1, l2: 0.0 };
    let replicas = Some(Replicas { rows: 8, merge_every: 4 });
    let refused = Trainer::builder().update(update).replicas(replicas).build().err();
    assert!(matches!(refused, Some(Error::Conflict { second: "replicas", .. })), "{refused:?}");
}
