//! Word alignment by EM: against brute force, against the dense form of the update rule, and with
//! every strategy.

#![allow(clippy::cast_possible_truncation, reason = "weights are f32")]

use asyn_core::simulate::{CostModel, Simulated};
use asyn_core::{
    AsynGrad, Batch, BatchEm, Gradient, Model, Real, Serial, SharedWeights, SplitMix64, StepSizes,
    StepwiseEm, Strategy, Trainer, Update, Worker,
};
use asyn_models::{AgreeingAligners, Aligner, AlignmentPair, Cooccurrences, Distortion};
use asyn_sync::{Locked, Minibatch, RoundRobin};

/// Sentences of a made-up language with their translations, word `e` by word `e` or `e + 1`, in
/// any order.
fn sentences(n_pairs: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut random = SplitMix64::new(7);
    (0..n_pairs)
        .map(|_| {
            let length = 2 + random.below(6);
            // Small numbers are frequent.
            let word = |random: &mut SplitMix64| {
                let most = 1 + random.below(30);
                u32::try_from(random.below(most)).unwrap()
            };
            let source: Vec<u32> = (0..length).map(|_| word(&mut random)).collect();
            let translate = |&word: &u32| 2 * word + u32::from(random.below(4) == 0);
            let mut target: Vec<u32> = source.iter().map(translate).collect();
            random.shuffle(&mut target);
            (source, target)
        })
        .collect()
}

fn model(texts: &[(Vec<u32>, Vec<u32>)]) -> (Aligner, Vec<AlignmentPair>) {
    let pair = |at: usize| (&texts[at].0[..], &texts[at].1[..]);
    let (table, pairs) = Cooccurrences::build((30, 61), texts.len(), pair).unwrap();
    (Aligner::new(table, Distortion::Uniform), pairs)
}

fn train(
    strategy: impl Strategy,
    update: impl Update,
    threads: usize,
    passes: u32,
    per_step: u32,
) -> (Aligner, Vec<AlignmentPair>, SharedWeights) {
    let (aligner, pairs) = model(&sentences(600));
    let mut weights = aligner.initial_weights(1);
    let trainer = Trainer::builder()
        .strategy(strategy)
        .update(update)
        .threads(threads)
        .passes(passes)
        .accumulate(per_step)
        .segment_len(240)
        .build()
        .unwrap();
    trainer.fit(&aligner, &pairs, &mut weights, &mut ()).unwrap();
    (aligner, pairs, weights)
}

fn stepwise(aligner: &Aligner) -> StepwiseEm {
    StepwiseEm { multinomials: aligner.multinomials(), ..StepwiseEm::default() }
}

fn simulated() -> Simulated<AsynGrad> {
    Simulated::new(AsynGrad, CostModel::default()).unwrap()
}

/// Returns the update rule for the sentences that all runs are trained on.
fn rule() -> StepwiseEm {
    stepwise(&model(&sentences(600)).0)
}

fn likelihood((aligner, pairs, weights): &(Aligner, Vec<AlignmentPair>, SharedWeights)) -> f64 {
    let mut out = Vec::new();
    pairs.iter().map(|pair| aligner.posteriors(weights, pair, &mut out)).sum()
}

#[test]
fn posteriors_are_those_of_all_alignments() {
    let (aligner, _) = model(&sentences(40));
    let mut random = SplitMix64::new(3);
    let counts: Vec<Real> =
        aligner.table().targets().iter().map(|_| 0.1 + random.unit() as Real).collect();
    let weights = aligner.import(&counts);
    for (source, target) in sentences(40).iter().filter(|it| it.0.len() <= 4) {
        let some = |words: &[u32]| words.iter().map(|&word| Some(word)).collect::<Vec<_>>();
        let pair = aligner.table().pair(&some(source), &some(target));
        let rows: Vec<usize> =
            std::iter::once(0).chain(source.iter().map(|&word| word as usize + 1)).collect();
        let (expected, all) = sum_over(rows.len(), target, |from| {
            let t = |(&at, &word): (&usize, &u32)| probability(&aligner, &counts, rows[at], word);
            from.iter().zip(target).map(|it| t(it) / rows.len() as f64).product()
        });
        let mut posteriors = Vec::new();
        let log = aligner.posteriors(&weights, &pair, &mut posteriors);
        assert!((log - all.ln()).abs() < 1e-4, "{log} {}", all.ln());
        for (posterior, expected) in posteriors.iter().zip(expected) {
            assert!((f64::from(*posterior) - expected / all).abs() < 1e-5);
        }
    }
}

/// Returns `t(f | e)` for the row of `e`.
fn probability(aligner: &Aligner, counts: &[Real], row: usize, target: u32) -> f64 {
    let table = aligner.table();
    let range = table.starts()[row] as usize..table.starts()[row + 1] as usize;
    let total: f64 = counts[range.clone()].iter().map(|&count| f64::from(count)).sum();
    let at = table.targets()[range.clone()].binary_search(&target);
    at.map_or(0.0, |at| f64::from(counts[range.start + at]) / total)
}

/// Sums `p` over all alignments: for each row and target word, and altogether.
fn sum_over(n_rows: usize, target: &[u32], p: impl Fn(&[usize]) -> f64) -> (Vec<f64>, f64) {
    let mut expected = vec![0.0; n_rows * target.len()];
    let mut all = 0.0;
    for alignment in 0..n_rows.pow(u32::try_from(target.len()).unwrap()) {
        let mut rest = alignment;
        let digit = |_: &u32| {
            let at = rest % n_rows;
            rest /= n_rows;
            at
        };
        let from: Vec<usize> = target.iter().map(digit).collect();
        let p = p(&from);
        all += p;
        for (j, &at) in from.iter().enumerate() {
            expected[at * target.len() + j] += p;
        }
    }
    (expected, all)
}

/// `p(a_1 … a_J)` of the hidden Markov model, with 0 for the empty word.
fn path(from: &[usize], n_source: usize, jumps: &[Real], empty: f64) -> f64 {
    let middle = jumps.len() / 2;
    let count = |from: usize, to: usize| f64::from(jumps[middle + to - from]);
    let (mut p, mut last) = (1.0, 0);
    for &at in from {
        if at == 0 {
            p *= empty;
        } else {
            let all: f64 = (1..=n_source).map(|to| count(last, to)).sum();
            // A tenth of all jumps is to any word.
            p *= (1.0 - empty) * (0.9 * count(last, at) / all + 0.1 / n_source as f64);
            last = at;
        }
    }
    p
}

#[test]
fn the_hidden_markov_model_sums_over_all_paths() {
    let (aligner, _) = model(&sentences(40));
    let aligner = aligner.with_distortion(Distortion::Hmm { empty: 0.3 });
    let mut random = SplitMix64::new(3);
    let counts: Vec<Real> =
        aligner.table().targets().iter().map(|_| 0.1 + random.unit() as Real).collect();
    let mut weights = aligner.import(&counts);
    let jumps: Vec<Real> =
        aligner.export_jumps(&weights).iter().map(|_| 0.1 + random.unit() as Real).collect();
    aligner.import_jumps(&mut weights, &jumps).unwrap();
    for (source, target) in sentences(40).iter().filter(|it| it.0.len() <= 4) {
        let some = |words: &[u32]| words.iter().map(|&word| Some(word)).collect::<Vec<_>>();
        let pair = aligner.table().pair(&some(source), &some(target));
        let t = |row: usize, target: u32| {
            let row = if row == 0 { 0 } else { source[row - 1] as usize + 1 };
            probability(&aligner, &counts, row, target)
        };
        let (expected, all) = sum_over(source.len() + 1, target, |from| {
            let emissions = from.iter().zip(target).map(|(&at, &word)| t(at, word));
            path(from, source.len(), &jumps, f64::from(0.3_f32)) * emissions.product::<f64>()
        });
        let mut posteriors = Vec::new();
        let log = aligner.posteriors(&weights, &pair, &mut posteriors);
        assert!((log - all.ln()).abs() < 1e-4, "{log} {}", all.ln());
        for (posterior, expected) in posteriors.iter().zip(expected) {
            assert!((f64::from(*posterior) - expected / all).abs() < 1e-5);
        }
        let mut gradient = Gradient::new(0.0);
        let worker = Worker::reader(aligner.layout(), &weights);
        let batch = Batch::new(0, 1, &[0], std::slice::from_ref(&pair));
        aligner.gradient(&worker, &batch, &mut aligner.workspace(), &mut gradient);
        let n_jumps: f64 = gradient.sums()[0].values.iter().map(|&it| f64::from(it)).sum();
        let n_linked: f64 = posteriors[target.len()..].iter().map(|&p| f64::from(p)).sum();
        assert!((n_jumps - n_linked).abs() < 1e-4, "{n_jumps} {n_linked}");
    }
}

#[test]
fn a_prior_is_worth_as_much_however_counts_are_scaled() {
    let (aligner, _) = model(&sentences(40));
    let aligner = aligner.with_prior(0.5, 40);
    let mut random = SplitMix64::new(3);
    let counts: Vec<Real> =
        aligner.table().targets().iter().map(|_| 0.1 + random.unit() as Real).collect();
    let mut weights = aligner.import(&counts);
    let (source, target) = &sentences(40)[0];
    let some = |words: &[u32]| words.iter().map(|&word| Some(word)).collect::<Vec<_>>();
    let pair = aligner.table().pair(&some(source), &some(target));
    let starts = aligner.table().starts();
    let t = |row: usize, target: u32| {
        let row_counts = &counts[starts[row] as usize..starts[row + 1] as usize];
        let total: f64 = row_counts.iter().map(|&count| f64::from(count)).sum();
        let count = probability(&aligner, &counts, row, target) * total;
        (count + 0.5) / (total + 0.5 * 61.0)
    };
    let rows: Vec<usize> =
        std::iter::once(0).chain(source.iter().map(|&e| e as usize + 1)).collect();
    let mut posteriors = Vec::new();
    for _ in 0..2 {
        aligner.posteriors(&weights, &pair, &mut posteriors);
        for (column, &word) in target.iter().enumerate() {
            let all: f64 = rows.iter().map(|&row| t(row, word)).sum();
            for (place, &row) in rows.iter().enumerate() {
                let found = f64::from(posteriors[place * target.len() + column]);
                assert!((found - t(row, word) / all).abs() < 1e-5, "{found}");
            }
        }
        // What stepwise EM does to all weights.
        weights.as_mut_slice().iter_mut().for_each(|weight| *weight *= 1024.0);
    }
}

#[test]
fn a_prior_keeps_its_weight_while_stepwise_em_trains() {
    let (aligner, pairs) = model(&sentences(600));
    let aligner = aligner.with_prior(0.1, 600);
    let mut weights = aligner.initial_weights(1);
    let run = |weights: &mut SharedWeights, update| {
        let trainer = Trainer::builder().update(update).passes(60).accumulate(20).build().unwrap();
        trainer.fit(&aligner, &pairs, weights, &mut ()).unwrap();
    };
    run(&mut weights, stepwise(&aligner));
    let number = weights.to_vec()[aligner.layout().len() - 16];
    assert!((number - 600.0).abs() < 1.0, "{number}");
    let stepwise = aligner.export(&weights);
    let mut weights = aligner.initial_weights(1);
    let update = BatchEm { multinomials: aligner.multinomials() };
    let trainer = Trainer::builder().update(update).passes(100).build().unwrap();
    trainer.fit(&aligner, &pairs, &mut weights, &mut ()).unwrap();
    let batch = aligner.export(&weights);
    let apart: f64 = stepwise.iter().zip(&batch).map(|(a, b)| f64::from((a - b).abs())).sum();
    let all: f64 = batch.iter().map(|&count| f64::from(count)).sum();
    assert!(apart < 0.1 * all, "{apart} of {all}");
}

/// The translations of each word in every sentence that has it, in both directions.
fn both_directions() -> (AgreeingAligners, SharedWeights, Vec<[AlignmentPair; 2]>) {
    let texts = sentences(300);
    let forward = |at: usize| (&texts[at].0[..], &texts[at].1[..]);
    let backward = |at: usize| (&texts[at].1[..], &texts[at].0[..]);
    let (table, pairs) = Cooccurrences::build((30, 61), texts.len(), forward).unwrap();
    let (back, back_pairs) = Cooccurrences::build((61, 30), texts.len(), backward).unwrap();
    let [one, other] = [table, back].map(|table| {
        let aligner = Aligner::new(table, Distortion::Hmm { empty: 0.2 }).with_prior(0.01, 300);
        let weights = aligner.initial_weights(1);
        (aligner, weights)
    });
    let (both, weights) = AgreeingAligners::join(one, other);
    let pairs = pairs.into_iter().zip(back_pairs).map(|(pair, back)| [pair, back]).collect();
    (both, weights, pairs)
}

#[test]
fn directions_that_agree_expect_the_same_links() {
    let (both, weights, pairs) = both_directions();
    let mut gradient = Gradient::new(0.0);
    let worker = Worker::reader(both.layout(), &weights);
    let batch = Batch::new(0, 1, &[3], &pairs);
    both.gradient(&worker, &batch, &mut both.workspace(), &mut gradient);
    let (n_source, n_target) = (pairs[3][0].n_source(), pairs[3][0].n_target());
    let counts: Vec<&[Real]> = gradient.cells().iter().map(|cells| &cells.values[..]).collect();
    // Totals and counts forward, totals and counts backward.
    let (forward, backward) = (counts[1], counts[3]);
    for row in 0..n_source {
        for column in 0..n_target {
            let link = forward[(row + 1) * n_target + column];
            assert_eq!(link, backward[(column + 1) * n_source + row]);
        }
    }
    for (counts, n) in [(forward, n_target), (backward, n_source)] {
        for word in 0..n {
            let all: Real = counts.iter().skip(word).step_by(n).sum();
            assert!((all - 1.0).abs() < 1e-5, "{all}");
        }
    }
}

#[test]
fn directions_that_agree_train_alike_with_one_worker_of_any_strategy() {
    type Train<'t> = &'t dyn Fn(&AgreeingAligners, &[[AlignmentPair; 2]], &mut SharedWeights);
    let train = |strategy: Train<'_>| {
        let (both, mut weights, pairs) = both_directions();
        strategy(&both, &pairs, &mut weights);
        let [one, other] = both.split(&weights);
        [one.0.export(&one.1), other.0.export(&other.1)]
    };
    fn with<S: Strategy>(
        strategy: S,
        (both, pairs): (&AgreeingAligners, &[[AlignmentPair; 2]]),
        weights: &mut SharedWeights,
    ) {
        let update = StepwiseEm { multinomials: both.multinomials(), ..StepwiseEm::default() };
        let builder = Trainer::builder().strategy(strategy).update(update).threads(1);
        let trainer = builder.passes(3).accumulate(5).build().unwrap();
        trainer.fit(both, pairs, weights, &mut ()).unwrap();
    }
    let serial = train(&|both, pairs, weights| with(Serial, (both, pairs), weights));
    assert_eq!(train(&|both, pairs, weights| with(AsynGrad, (both, pairs), weights)), serial);
    assert_eq!(train(&|both, pairs, weights| with(Locked, (both, pairs), weights)), serial);
    assert!(serial.iter().flatten().all(|count| count.is_finite()));
}

#[test]
fn the_diagonal_prior_is_a_distribution_around_the_diagonal() {
    // With one word a side the words say nothing, so the posteriors are the prior.
    let texts: [(&[u32], &[u32]); 1] = [(&[0, 0, 0, 0], &[0, 0])];
    let (table, pairs) = Cooccurrences::build((1, 1), 1, |at| texts[at]).unwrap();
    let distortion = Distortion::Diagonal { tension: 4.0, empty: 0.1 };
    let aligner = Aligner::new(table, distortion);
    let weights = aligner.initial_weights(1);
    let mut posteriors = Vec::new();
    let log = aligner.posteriors(&weights, &pairs[0], &mut posteriors);
    assert!(log.abs() < 1e-5, "{log}");
    let column: Vec<f32> = (0..5).map(|row| posteriors[2 * row]).collect();
    assert!((column[0] - 0.1).abs() < 1e-6);
    let prior = |source: f32| (-4.0 * (source / 4.0 - 0.5).abs()).exp();
    let all: f32 = [1.0, 2.0, 3.0, 4.0].map(prior).iter().sum();
    assert!((column[2] - 0.9 * prior(2.0) / all).abs() < 1e-6, "{column:?}");
}

#[test]
fn the_sparse_form_is_the_dense_one() {
    let per_step = 20;
    let (aligner, pairs, weights) = train(Serial, rule(), 1, 4, per_step);
    // The order of the trainer, and μ ← (1 − η) μ + η s in f64.
    let mut dense: Vec<f64> =
        aligner.initial_weights(1).to_vec().iter().map(|&count| f64::from(count)).collect();
    let share = f64::from(per_step) / pairs.len() as f64;
    dense.iter_mut().for_each(|count| *count *= share);
    let mut step = 0;
    for pass in 0..4 {
        let mut order: Vec<u32> = (0..600).collect();
        SplitMix64::stream(1, asyn_core::Purpose::Order, pass, 0).shuffle(&mut order);
        for ids in order.chunks(per_step as usize) {
            let mut now = SharedWeights::zeroed(dense.len());
            for (weight, &count) in now.as_mut_slice().iter_mut().zip(&dense) {
                *weight = count as Real;
            }
            let worker = Worker::reader(aligner.layout(), &now);
            let mut gradient = Gradient::new(0.0);
            let batch = Batch::new(0, 1, ids, &pairs);
            aligner.gradient(&worker, &batch, &mut aligner.workspace(), &mut gradient);
            let mut counts = vec![0.0; dense.len()];
            gradient.add_to(aligner.layout(), &mut counts);
            let rate = f64::from(step + 2).powf(f64::from(-0.7_f32));
            for (count, new) in dense.iter_mut().zip(&counts) {
                *count = (1.0 - rate) * *count + rate * new;
            }
            step += 1;
        }
    }
    for (weight, count) in weights.to_vec().iter().zip(&dense) {
        let expected = count / share;
        let close = 1e-3 * expected + 1e-4;
        assert!((f64::from(*weight) - expected).abs() < close, "{weight} {expected}");
    }
}

#[test]
fn one_worker_of_any_strategy_is_serial() {
    let serial = train(Serial, rule(), 1, 3, 8).2.to_vec();
    let same = |weights: Vec<Real>| assert_eq!(weights, serial);
    same(train(AsynGrad, rule(), 1, 3, 8).2.to_vec());
    same(train(Locked, rule(), 1, 3, 8).2.to_vec());
    same(train(RoundRobin, rule(), 1, 3, 8).2.to_vec());
    same(train(Minibatch::default(), rule(), 1, 3, 8).2.to_vec());
    same(train(simulated(), rule(), 1, 3, 8).2.to_vec());
}

#[test]
fn every_strategy_ends_at_the_likelihood_of_batch_em() {
    let rule_of_batch = BatchEm { multinomials: rule().multinomials };
    let best = likelihood(&train(Serial, rule_of_batch.clone(), 1, 60, 1));
    let close = |run: &(Aligner, Vec<AlignmentPair>, SharedWeights)| {
        let found = likelihood(run);
        assert!((found - best).abs() < 1e-3 * best.abs(), "{found} {best}");
    };
    close(&train(Serial, rule(), 1, 40, 60));
    close(&train(AsynGrad, rule(), 2, 40, 60));
    close(&train(Locked, rule(), 2, 40, 60));
    close(&train(Minibatch::default(), rule(), 2, 40, 30));
    close(&train(simulated(), rule(), 4, 40, 60));
    // Racing additions to the counts of a pass may be lost, each a small part of them.
    close(&train(AsynGrad, rule_of_batch, 2, 60, 4));
}

#[test]
fn probabilities_sum_to_1_when_all_is_quiet() {
    let (aligner, _, weights) = train(AsynGrad, rule(), 2, 3, 4);
    let counts = aligner.export(&weights);
    let rows = aligner.table().starts();
    let mut totals = vec![0.0; rows.len() - 1];
    let all: Vec<u32> = (0..).take(totals.len()).collect();
    let tensor = aligner.layout().ids().next().unwrap();
    Worker::reader(aligner.layout(), &weights).gather(tensor, &all, &mut totals);
    for (ends, total) in rows.windows(2).zip(totals) {
        let row = &counts[ends[0] as usize..ends[1] as usize];
        let sum: f64 = row.iter().map(|&count| f64::from(count) / f64::from(total)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}

#[test]
fn steps_by_the_length_of_a_pass_come_near_batch_em_in_few_passes() {
    let batch = |passes| {
        let update = BatchEm { multinomials: rule().multinomials };
        likelihood(&train(Serial, update, 1, passes, 1))
    };
    for per_step in [1, 6, 20] {
        let run = |passes| {
            let update = StepwiseEm { sizes: StepSizes::Window, ..rule() };
            likelihood(&train(Serial, update, 1, passes, per_step))
        };
        assert!(run(2) > batch(5), "{per_step}: {} {}", run(2), batch(5));
        assert!(run(20) > 1.001 * batch(20), "{per_step}: {} {}", run(20), batch(20));
    }
}

#[test]
fn many_steps_do_not_overflow() {
    let run = train(AsynGrad, StepwiseEm { sizes: StepSizes::Power(0.51), ..rule() }, 2, 20, 1);
    assert!(run.2.to_vec().iter().all(|count| count.is_finite()));
    assert!(likelihood(&run).is_finite());
}

#[test]
fn no_pair_is_lost_where_words_were_never_seen() {
    let (aligner, _, weights) = train(Serial, rule(), 1, 2, 20);
    let pair = aligner.table().pair(&[None], &[None, Some(0)]);
    let mut posteriors = Vec::new();
    assert!(aligner.posteriors(&weights, &pair, &mut posteriors).is_finite());
    assert_eq!((posteriors[0], posteriors[2]), (0.0, 0.0));
    let nothing = aligner.table().pair(&[], &[]);
    assert_eq!(aligner.posteriors(&weights, &nothing, &mut posteriors), 0.0);
}
