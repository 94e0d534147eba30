//! Recorded runs: simulated ones come back to the bit, real ones act by act.

use asyn_core::simulate::{Act, CostModel, Recorded, Replayed, Simulated, Turn};
use asyn_core::{AsynGrad, Model, Real, Serial, Strategy, Trainer};
use asyn_testing::{Logistic, separable_clicks};

/// Every access is a point at which another worker may come in between.
const FINE: CostModel = CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 0.0 };
/// Other costs, at which the workers would run in another order.
const OTHER: CostModel = CostModel { load: 7.0, store: 0.0, miss: 2.0, compute: 1.0, grain: 50.0 };

/// The clicks of a pass.
const N: usize = if cfg!(miri) { 12 } else { 300 };

/// Trains three passes, each of three segments.
fn train(strategy: impl Strategy, threads: usize) -> Vec<Real> {
    let clicks = separable_clicks(N, 40, 1);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().strategy(strategy).threads(threads).passes(3).seed(5);
    let trainer = trainer.segment_len(N * 11 / 30).build().unwrap();
    trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    weights.to_vec()
}

#[test]
fn a_simulated_run_is_replayed_to_the_bit_at_any_costs() {
    for threads in [1, 2, 5] {
        let recorded = Simulated::new(AsynGrad, FINE).unwrap().recorded();
        let weights = train(&recorded, threads);
        assert_eq!(weights, train(Simulated::new(AsynGrad, FINE).unwrap(), threads));
        let turns = recorded.into_turns();
        assert_eq!(turns.len(), 9, "three segments a pass");
        for cost in [FINE, OTHER] {
            let replay = Simulated::new(AsynGrad, cost).unwrap().replaying(turns.clone());
            assert_eq!(train(&replay, threads), weights);
            assert!(!replay.has_strayed());
        }
    }
    let other = Simulated::new(AsynGrad, OTHER).unwrap();
    assert_ne!(train(other, 5), train(Simulated::new(AsynGrad, FINE).unwrap(), 5));
}

#[test]
fn what_a_replay_counts_is_what_the_run_counted() {
    let recorded = Simulated::new(AsynGrad, FINE).unwrap().recorded();
    train(&recorded, 3);
    let report = recorded.report();
    assert!(report.overwritten_steps > 0, "{report:?}");
    let replay = Simulated::new(AsynGrad, FINE).unwrap().replaying(recorded.into_turns());
    train(&replay, 3);
    assert_eq!(replay.report(), report);
}

#[test]
fn turns_of_another_run_are_noticed() {
    let recorded = Simulated::new(AsynGrad, FINE).unwrap().recorded();
    train(&recorded, 2);
    let turns = recorded.into_turns();
    let strays = |turns, threads| {
        let replay = Simulated::new(AsynGrad, FINE).unwrap().replaying(turns);
        train(&replay, threads);
        replay.has_strayed()
    };
    assert!(!strays(turns.clone(), 2));
    assert!(strays(turns.clone(), 1));
    assert!(strays(turns.clone(), 3));
    assert!(strays(turns[..8].to_vec(), 2));
    assert!(strays([&turns[..], &turns[..1]].concat(), 2));
    let mut cut = turns.clone();
    cut[4].truncate(10);
    assert!(strays(cut, 2));
    let mut other = turns;
    other[0].insert(0, Turn { worker: 9, points: 3 });
    assert!(strays(other, 2));
}

#[test]
fn a_real_run_of_one_worker_is_replayed_to_the_bit() {
    let recorded = Recorded::new(AsynGrad);
    let weights = train(&recorded, 1);
    assert_eq!(weights, train(Serial, 1));
    let replay = Replayed::new(AsynGrad, recorded.into_acts());
    assert_eq!(train(&replay, 1), weights);
    assert!(!replay.has_strayed());
}

#[test]
fn a_real_run_of_two_workers_has_one_replay() {
    let recorded = Recorded::new(AsynGrad);
    train(&recorded, 2);
    let acts = recorded.into_acts();
    let n = |act| acts.iter().flatten().filter(|(_, done)| *done == act).count();
    assert_eq!((n(Act::Read), n(Act::Write)), (3 * N, 3 * N));
    let replay = || {
        let replay = Replayed::new(AsynGrad, acts.clone());
        let weights = train(&replay, 2);
        assert!(!replay.has_strayed());
        weights
    };
    assert_eq!(replay(), replay());
}

#[test]
fn acts_of_another_run_are_noticed() {
    let recorded = Recorded::new(AsynGrad);
    train(&recorded, 2);
    let acts = recorded.into_acts();
    let strays = |acts, threads| {
        let replay = Replayed::new(AsynGrad, acts);
        train(&replay, threads);
        replay.has_strayed()
    };
    assert!(!strays(acts.clone(), 3), "a worker that did nothing is none");
    assert!(strays(acts.clone(), 1));
    assert!(strays(acts[..8].to_vec(), 2));
    assert!(strays([&acts[..], &acts[..1]].concat(), 2));
    let mut cut = acts;
    cut[4].truncate(5);
    assert!(strays(cut, 2));
}
