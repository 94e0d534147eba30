//! What the instruments cost: passes of AsynGrad at two threads with none of them, the default
//! set and the full one.
//!
//! The three run in turn, a round each, so that a change of the machine's speed hits all alike;
//! the figures are medians over rounds, and the cost is the median of the ratios within rounds.
//! `none again` is a second run without instruments: its cost is the noise of the measurement.
//!
//! The corpus is a planted one, or the training part of CoNLL-2000 where `ASYN_DATA` names the
//! folder of the corpora. The settings are those of the command. On a machine that others use the
//! figures mean nothing.
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

use asyn_core::{Adf, AsynGrad, Instruments, Model, Replicas, Trainer};
use asyn_data::Encoded;
use asyn_models::Crf;

use chunker::{Chunker, n_tokens};

#[path = "chunker.rs"]
mod chunker;

/// The rounds that are measured, after one that is not.
const ROUNDS: usize = 41;
/// The passes of a run; the first is not timed, since memory is allocated in it.
const PASSES: u32 = 3;

fn main() {
    let Chunker { corpus, encoder, crf, examples } = Chunker::new();
    println!(
        "{}: {} sentences, {} attributes, 2 threads, {ROUNDS} rounds",
        corpus.name(),
        examples.len(),
        encoder.n_attributes()
    );

    let default = Instruments::default_set();
    let sets = [
        ("none", Instruments::default()),
        ("none again", Instruments::default()),
        ("overlap", Instruments { balance: None, paired: None, ..default }),
        ("overlap, probes", Instruments { balance: None, ..default }),
        ("default", default),
        ("full", Instruments::full()),
    ];
    let mut seconds = vec![Vec::with_capacity(ROUNDS); sets.len()];
    for round in 0..=ROUNDS {
        for turn in 0..sets.len() {
            // A zigzag that is shifted in each round: each set follows each other one equally
            // often, since there are an even number of them (Williams 1949).
            let zigzag = if turn % 2 == 1 { turn.div_ceil(2) } else { sets.len() - turn / 2 };
            let set = (round + zigzag) % sets.len();
            let time = seconds_a_pass(&crf, &examples, sets[set].1);
            if round > 0 {
                seconds[set].push(time);
            }
        }
    }
    let n_tokens = n_tokens(&examples);
    println!("| instruments | million tokens/s | cost (%) |\n| --- | ---: | ---: |");
    for ((name, _), times) in sets.iter().zip(&seconds) {
        let speed = n_tokens as f64 / median(times.clone()) / 1e6;
        let ratios = times.iter().zip(&seconds[0]).map(|(with, without)| with / without);
        let cost = 100.0 * (median(ratios.collect()) - 1.0);
        println!("| {name} | {speed:.3} | {cost:+.1} |");
    }
}

fn seconds_a_pass(crf: &Crf, examples: &[Encoded], instruments: Instruments) -> f64 {
    let trainer = Trainer::builder()
        .strategy(AsynGrad)
        .update(Adf { rate: 0.2, l2: 0.5, ..Adf::default() })
        .threads(2)
        .passes(PASSES)
        .sums_every(8)
        .sparse_threshold(0.05)
        .replicas(Some(Replicas { rows: 256, merge_every: 16 }))
        .instruments(instruments)
        .build()
        .expect("the settings are in range");
    let mut weights = crf.initial_weights(1);
    let outcome = trainer.fit(crf, examples, &mut weights, &mut ());
    let passes = outcome.expect("the step size is small").passes;
    let times = passes[1..].iter().map(|pass| pass.train_time.as_secs_f64());
    times.sum::<f64>() / f64::from(PASSES - 1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
