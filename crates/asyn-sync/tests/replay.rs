//! Recorded runs of the coordinated strategies.

use asyn_core::simulate::{CostModel, Recorded, Replayed, Simulated};
use asyn_core::{Model, Real, Strategy, Trainer};
use asyn_sync::{Bounded, Locked, RoundRobin};
use asyn_testing::{Logistic, separable_clicks};

const COST: CostModel = CostModel { load: 1.0, store: 1.0, miss: 60.0, compute: 3.0, grain: 0.0 };
const OTHER: CostModel = CostModel { compute: 9.0, miss: 1.0, grain: 70.0, ..COST };

/// Trains three passes, each of several segments.
fn train(strategy: impl Strategy, threads: usize) -> Vec<Real> {
    let clicks = separable_clicks(300, 40, 1);
    let model = Logistic::new(40);
    let mut weights = model.initial_weights(1);
    let trainer = Trainer::builder().strategy(strategy).threads(threads).passes(3).seed(5);
    let trainer = trainer.segment_len(110).build().unwrap();
    trainer.fit(&model, &clicks, &mut weights, &mut ()).unwrap();
    weights.to_vec()
}

fn check(strategy: impl Strategy + Copy, has_turns_on_real_threads: bool) {
    for threads in [2, 5] {
        let recorded = Simulated::new(strategy, COST).unwrap().recorded();
        let weights = train(&recorded, threads);
        let turns = recorded.into_turns();
        for cost in [COST, OTHER] {
            let replay = Simulated::new(strategy, cost).unwrap().replaying(turns.clone());
            assert_eq!(train(&replay, threads), weights);
            assert!(!replay.has_strayed());
        }

        let recorded = Recorded::new(strategy);
        let weights = train(&recorded, threads);
        let replay = Replayed::new(strategy, recorded.into_acts());
        let again = train(&replay, threads);
        assert!(!replay.has_strayed());
        // Where reads and writes exclude each other, nothing happens within an act.
        assert!(again == weights || !has_turns_on_real_threads);
    }
}

#[test]
fn what_waits_for_a_lock_or_a_turn_is_replayed() {
    check(Locked, true);
    check(RoundRobin, true);
    check(Bounded { staleness: 1 }, false);
}
