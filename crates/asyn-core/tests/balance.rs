//! The balance of what was written: nothing is lost where nothing can be, and losses are seen.

mod tasks;

use std::num::NonZeroU32;

use asyn_core::simulate::{CostModel, Simulated};
use asyn_core::{
    Adam, Adf, AsynGrad, Averaging, Instruments, Mass, Model, Replicas, Schedule, Serial, Sgd,
    Strategy, Trainer, TrainerBuilder, Update, Write,
};
use asyn_sync::{Locked, Minibatch, RoundRobin};
use asyn_testing::{Logistic, separable_clicks};
use tasks::{Plane, Slope};

const ALL_BLOCKS: Instruments = Instruments {
    overlap: false,
    paired: None,
    balance: NonZeroU32::new(1),
    versions: false,
    balance_whole: true,
    reread: false,
    shadow: false,
};

/// The clicks of a run; Miri takes a second for one.
const N: usize = if cfg!(miri) { 4 } else { 2000 };

/// The examples of workers that contend for the same rows.
const CONTENDED: u16 = if cfg!(miri) { 16 } else { 600 };

/// Trains on [`N`] clicks, in segments, and returns the mass of each of two passes.
fn masses<S: Strategy, U: Update>(builder: TrainerBuilder<S, U>) -> Vec<Mass> {
    let (model, clicks) = (Logistic::new(40), separable_clicks(N, 40, 1));
    let builder = builder.passes(2).segment_len(N / 3 + 1).instruments(ALL_BLOCKS);
    let trainer = builder.build().unwrap();
    let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
    outcome.passes.iter().map(|pass| pass.races.as_ref().expect("it is on").mass).collect()
}

#[track_caller]
fn nothing_is_lost<S: Strategy, U: Update>(builder: TrainerBuilder<S, U>) {
    for mass in masses(builder) {
        assert!(mass.written > 0.1, "{mass:?}");
        assert_eq!(mass.lost, 0.0, "{mass:?}");
        // A tolerance that hides everything would find nothing either.
        assert!(mass.tolerance < 0.01 * mass.written, "{mass:?}");
    }
}

fn sgd(l2: f32) -> Sgd {
    let schedule = Schedule::Constant { rate: 0.1 };
    Sgd { schedule, l2, averaging: Averaging::FromPass(2), ..Sgd::default() }
}

fn adam() -> Adam {
    Adam { schedule: Schedule::Constant { rate: 0.01 }, ..Adam::default() }
}

#[test]
fn one_worker_loses_nothing() {
    let replicas = Some(Replicas { rows: 16, merge_every: 4 });
    nothing_is_lost(Trainer::builder().strategy(Serial).update(sgd(1.0)));
    nothing_is_lost(Trainer::builder().strategy(AsynGrad).update(Adf::default()));
    nothing_is_lost(Trainer::builder().update(Adf::default()).accumulate(3).sums_every(4));
    nothing_is_lost(Trainer::builder().update(Adf::default()).sparse_threshold(0.3));
    nothing_is_lost(Trainer::builder().update(Adf::default()).replicas(replicas));
    nothing_is_lost(Trainer::builder().update(sgd(1.0)).write(Write::Cas));
    nothing_is_lost(Trainer::builder().update(adam()));
    nothing_is_lost(Trainer::builder().update(adam()).write(Write::Cas));
    let replicas = Some(Replicas { rows: 0, merge_every: 4 });
    nothing_is_lost(Trainer::builder().update(adam()).replicas(replicas));
}

#[test]
fn writes_in_turn_or_under_a_lock_lose_nothing() {
    nothing_is_lost(Trainer::builder().strategy(Locked).threads(3));
    nothing_is_lost(Trainer::builder().strategy(Locked).update(Adf::default()).threads(3));
    nothing_is_lost(Trainer::builder().strategy(RoundRobin).threads(3).update(sgd(1.0)));
    nothing_is_lost(Trainer::builder().strategy(RoundRobin).update(Adf::default()).threads(3));
    nothing_is_lost(Trainer::builder().strategy(Minibatch::default()).threads(3));
    nothing_is_lost(Trainer::builder().strategy(Locked).update(adam()).threads(3));
    nothing_is_lost(Trainer::builder().strategy(RoundRobin).update(adam()).threads(3));
}

#[test]
#[cfg_attr(
    miri,
    ignore = "others come in between so often that their effect is not estimated well"
)]
fn compare_and_swap_loses_nothing() {
    for threads in [2, 4] {
        let builder = Trainer::builder().strategy(AsynGrad).write(Write::Cas).threads(threads);
        nothing_is_lost(builder.clone().update(sgd(1.0)));
        nothing_is_lost(builder.update(Adf::default()));
    }
}

/// Every access is a point at which another worker may come in between.
const FINE: CostModel = CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 0.0 };

/// Four workers add to the same four rows all the time; returns the balance, the share of
/// increments that the weights lack, and the stores that the simulator saw lost.
fn contend(strategy: impl Strategy, cost: CostModel, write: Write) -> (Mass, f64, u64) {
    let plane = Plane::new(4);
    let examples = vec![Slope { rows: vec![0, 1, 2, 3], slope: 1.0 }; usize::from(CONTENDED)];
    let simulated = Simulated::new(strategy, cost).unwrap();
    let schedule = Schedule::Constant { rate: 1.0 / 64.0 };
    let sgd = Sgd { schedule, l2: 0.0, ..Sgd::default() };
    let builder = Trainer::builder().strategy(&simulated).update(sgd).threads(4).passes(1);
    let trainer = builder.write(write).instruments(ALL_BLOCKS).build().unwrap();
    let mut weights = plane.filled(0.0);
    let outcome = trainer.fit(&plane, &examples, &mut weights, &mut ()).unwrap();
    let mass = outcome.passes[0].races.as_ref().expect("it is on").mass;
    let there: f64 = plane.weights(&weights).iter().map(|&w| f64::from(-w)).sum();
    let meant = f64::from(CONTENDED) * 4.0 / 64.0;
    (mass, meant - there, simulated.report().lost_stores)
}

#[test]
fn the_mass_that_the_simulator_loses_is_found() {
    let (mass, lacking, lost_stores) = contend(AsynGrad, FINE, Write::Racy);
    assert!(lost_stores > 0 && lacking > 0.0);
    // Multiples of 1/64 are exact, so what was meant is known, and the loss as well.
    assert_eq!(mass.written, f64::from(CONTENDED) * 4.0 / 64.0);
    assert!((mass.lost - lacking).abs() <= mass.tolerance, "{mass:?}, {lacking} lacking");
    assert!((mass.lost_share() - lacking / mass.written).abs() < 1e-3);

    let waiting = CostModel { load: 0.0, store: 0.0, miss: 0.0, compute: 100.0, grain: 0.0 };
    for (mass, lacking, lost_stores) in [
        contend(AsynGrad, waiting, Write::Racy),
        contend(Locked, FINE, Write::Racy),
        contend(RoundRobin, FINE, Write::Racy),
    ] {
        assert_eq!((mass.lost, lacking, lost_stores), (0.0, 0.0, 0), "{mass:?}");
    }
    let (mass, lacking, lost_stores) = contend(AsynGrad, FINE, Write::Cas);
    assert_eq!((mass.lost, lacking, lost_stores), (0.0, 0.0, 0), "{mass:?}");
}

#[test]
#[cfg_attr(miri, ignore = "16,000 steps of what the other tests do take minutes")]
fn a_sample_of_rows_is_watched_and_small_whole_tensors_if_asked_for() {
    let (model, clicks) = (Logistic::new(1000), separable_clicks(4000, 1000, 1));
    let written = |one_in, balance_whole, seed| {
        let balance = NonZeroU32::new(one_in);
        let instruments = Instruments { balance, balance_whole, ..ALL_BLOCKS };
        let builder = Trainer::builder().passes(1).seed(seed).instruments(instruments);
        let trainer = builder.build().unwrap();
        let outcome = trainer.fit(&model, &clicks, &mut model.initial_weights(1), &mut ()).unwrap();
        outcome.passes[0].races.as_ref().expect("it is on").mass.written
    };
    let [all, some] = [1, 8].map(|one_in| written(one_in, false, 1));
    let share = some / all;
    assert!((0.05..0.25).contains(&share), "{share} of what was written to rows");
    assert!(written(8, true, 1) > some, "the bias is watched");
    assert_ne!(written(8, false, 1), written(8, false, 2));
}
