//! Incremental EM on word alignment: against its plain form, and with every strategy; and counts of
//! frequent words in replicas.

#![allow(clippy::cast_possible_truncation, reason = "weights are f32")]

use asyn_core::{
    AsynGrad, Batch, BatchEm, Gradient, IncrementalEm, Model, Purpose, Real, Replicas, Serial,
    SharedWeights, SplitMix64, StepwiseEm, Strategy, Trainer, TrainerBuilder, Update, Worker,
};
use asyn_models::{Aligner, AlignmentPair, Cooccurrences, Distortion};
use asyn_sync::{Locked, Minibatch};

const N_PAIRS: u32 = 300;

/// Pairs of a made-up language, word `e` translated by word `e` or `e + 1`.
fn model() -> (Aligner, Vec<AlignmentPair>) {
    let mut random = SplitMix64::new(7);
    let texts: Vec<(Vec<u32>, Vec<u32>)> = (0..N_PAIRS)
        .map(|_| {
            let mut word = || {
                let most = 1 + random.below(30);
                u32::try_from(random.below(most)).unwrap()
            };
            let source: Vec<u32> = (0..5).map(|_| word()).collect();
            let target = source.iter().map(|word| 2 * word + u32::from(random.below(4) == 0));
            let target = target.collect();
            (source, target)
        })
        .collect();
    let pair = |at: usize| (&texts[at].0[..], &texts[at].1[..]);
    let (table, pairs) = Cooccurrences::build((30, 61), texts.len(), pair).unwrap();
    (Aligner::new(table, Distortion::Uniform), pairs)
}

fn incremental() -> IncrementalEm {
    IncrementalEm { multinomials: model().0.multinomials() }
}

fn train<S: Strategy, U: Update>(builder: TrainerBuilder<S, U>, passes: u32) -> SharedWeights {
    let (aligner, pairs) = model();
    let mut weights = aligner.initial_weights(1);
    let trainer = builder.passes(passes).segment_len(120).build().unwrap();
    trainer.fit(&aligner, &pairs, &mut weights, &mut ()).unwrap();
    weights
}

fn with(
    strategy: impl Strategy,
    threads: usize,
    per_step: u32,
) -> TrainerBuilder<impl Strategy, IncrementalEm> {
    let builder = Trainer::builder().strategy(strategy).update(incremental());
    builder.threads(threads).accumulate(per_step)
}

fn likelihood(weights: &SharedWeights) -> f64 {
    let (aligner, pairs) = model();
    let mut out = Vec::new();
    pairs.iter().map(|pair| aligner.posteriors(weights, pair, &mut out)).sum()
}

/// The expected counts of pair `id` by the counts `now`.
fn counts_of((aligner, pairs): &(Aligner, Vec<AlignmentPair>), now: &[f64], id: u32) -> Vec<f64> {
    let mut weights = SharedWeights::zeroed(now.len());
    for (weight, &count) in weights.as_mut_slice().iter_mut().zip(now) {
        *weight = count as Real;
    }
    let worker = Worker::reader(aligner.layout(), &weights);
    let mut gradient = Gradient::new(0.0);
    let ids = [id];
    let batch = Batch::new(0, 1, &ids, pairs);
    aligner.gradient(&worker, &batch, &mut aligner.workspace(), &mut gradient);
    let mut counts = vec![0.0; now.len()];
    gradient.add_to(aligner.layout(), &mut counts);
    counts
}

#[test]
fn the_counts_of_each_pair_are_replaced() {
    let model = model();
    let initial: Vec<f64> =
        model.0.initial_weights(1).to_vec().iter().map(|&count| f64::from(count)).collect();
    let mut of_pairs = vec![vec![0.0; initial.len()]; N_PAIRS as usize];
    let mut all = initial.clone();
    for pass in 0..4 {
        let mut order: Vec<u32> = (0..N_PAIRS).collect();
        SplitMix64::stream(1, Purpose::Order, pass, 0).shuffle(&mut order);
        for ids in order.chunks(20) {
            let now = all.clone();
            for &id in ids {
                let new = counts_of(&model, &now, id);
                let old = std::mem::replace(&mut of_pairs[id as usize], new);
                for ((all, new), old) in all.iter_mut().zip(&of_pairs[id as usize]).zip(&old) {
                    *all += new - old;
                }
            }
        }
        if pass == 0 {
            all.iter_mut().zip(&initial).for_each(|(all, initial)| *all -= initial);
        }
    }
    for (weight, expected) in train(with(Serial, 1, 20), 4).to_vec().iter().zip(&all) {
        let close = 1e-3 * expected + 1e-3;
        assert!((f64::from(*weight) - expected).abs() < close, "{weight} {expected}");
    }
}

#[test]
fn one_worker_of_any_strategy_is_serial() {
    let serial = train(with(Serial, 1, 8), 3).to_vec();
    assert_eq!(train(with(AsynGrad, 1, 8), 3).to_vec(), serial);
    assert_eq!(train(with(Locked, 1, 8), 3).to_vec(), serial);
    assert_eq!(train(with(Minibatch::default(), 1, 8), 3).to_vec(), serial);
}

#[test]
fn every_strategy_ends_at_the_likelihood_of_batch_em() {
    let multinomials = model().0.multinomials();
    let batch = BatchEm { multinomials: multinomials.clone() };
    let best = likelihood(&train(Trainer::builder().update(batch), 60));
    let close = |weights: SharedWeights| {
        let found = likelihood(&weights);
        assert!((found - best).abs() < 1e-3 * best.abs(), "{found} {best}");
    };
    close(train(with(Serial, 1, 4), 40));
    close(train(with(AsynGrad, 2, 4), 40));
    close(train(with(Locked, 2, 4), 40));
    close(train(with(Minibatch::default(), 2, 8), 40));
    // Frequent words in replicas, with both rules.
    let replicas = Some(Replicas { rows: 16, merge_every: 2 });
    close(train(with(AsynGrad, 2, 4).replicas(replicas), 40));
    let stepwise = StepwiseEm { multinomials, ..StepwiseEm::default() };
    let racing = Trainer::builder().strategy(AsynGrad).update(stepwise).threads(2).accumulate(30);
    close(train(racing.replicas(replicas), 40));
}
