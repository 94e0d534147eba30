//! The hidden Markov model without labels: against brute force, by its own sums, and with several
//! strategies.

use asyn_core::{
    AsynGrad, Batch, BatchEm, Decode, Gradient, IncrementalEm, Model, Real, Serial, SharedWeights,
    SplitMix64, StepwiseEm, Strategy, Trainer, Update, Worker,
};
use asyn_models::Hmm;
use asyn_sync::{Locked, Minibatch};

const N_WORDS: u32 = 12;

/// Sentences in which two classes of words tend to take turns.
fn sentences(n: usize) -> Vec<Box<[u32]>> {
    let mut random = SplitMix64::new(5);
    (0..n)
        .map(|_| {
            let mut class = random.below(2);
            let length = 1 + random.below(9);
            (0..length)
                .map(|_| {
                    class = if random.below(10) == 0 { class } else { 1 - class };
                    u32::try_from(class * 6 + random.below(6)).unwrap()
                })
                .collect()
        })
        .collect()
}

fn hmm(n_states: usize) -> Hmm {
    Hmm::new(n_states, N_WORDS as usize).unwrap()
}

/// Returns tensor `name` as rows, as they are in `weights`.
fn tensor(hmm: &Hmm, weights: &SharedWeights, name: &str) -> Vec<Vec<f64>> {
    let layout = hmm.layout();
    let id = layout.ids().find(|&id| layout.tensor(id).name == name).unwrap();
    let matrix = layout.export(weights, id);
    matrix.rows().into_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

#[test]
fn expected_counts_are_those_of_all_paths() {
    let n = 3;
    let hmm = hmm(n);
    let weights = hmm.initial_weights(3);
    let emissions = tensor(&hmm, &weights, "emissions");
    let transitions = tensor(&hmm, &weights, "transitions");
    let initial = &tensor(&hmm, &weights, "initial")[0];
    for words in sentences(30).iter().filter(|words| words.len() <= 5) {
        let mut all = 0.0;
        let mut states = vec![vec![0.0; n]; words.len()];
        let mut pairs = vec![0.0; n * n];
        for number in 0..n.pow(u32::try_from(words.len()).unwrap()) {
            let path: Vec<usize> =
                (0..u32::try_from(words.len()).unwrap()).map(|at| number / n.pow(at) % n).collect();
            let mut p = initial[path[0]];
            p *= path.windows(2).map(|it| transitions[it[0]][it[1]]).product::<f64>();
            p *= path.iter().zip(words).map(|(&s, &x)| emissions[x as usize][s]).product::<f64>();
            all += p;
            path.iter().zip(&mut states).for_each(|(&state, row)| row[state] += p);
            path.windows(2).for_each(|it| pairs[it[0] * n + it[1]] += p);
        }
        let mut gradient = Gradient::new(0.0);
        let worker = Worker::reader(hmm.layout(), &weights);
        let batch = Batch::new(0, 1, &[0], std::slice::from_ref(words));
        let loss = hmm.gradient(&worker, &batch, &mut hmm.workspace(), &mut gradient);
        assert!((loss + all.ln()).abs() < 1e-4, "{loss} {}", -all.ln());
        let mut counts = vec![0.0; hmm.layout().len()];
        gradient.add_to(hmm.layout(), &mut counts);
        let start = |name: &str| {
            hmm.layout().tensors().iter().find(|tensor| tensor.name == name).unwrap().start
        };
        for (at, &pair) in pairs.iter().enumerate() {
            assert!((counts[start("transitions") + at] - pair / all).abs() < 1e-4);
        }
        for state in 0..n {
            assert!((counts[start("initial") + state] - states[0][state] / all).abs() < 1e-4);
            let total: f64 = states.iter().map(|row| row[state] / all).sum();
            assert!((counts[start("totals") + state] - total).abs() < 1e-4);
        }
    }
}

#[test]
fn expected_counts_sum_to_the_counts_of_tokens_even_where_f32_underflows() {
    let hmm = hmm(4);
    // Each word comes from one state only, and hardly any state follows another.
    let mut weights = hmm.initial_weights(1);
    for (id, tensor) in hmm.layout().ids().zip(hmm.layout().tensors().to_vec()) {
        let mut matrix = hmm.layout().export(&weights, id);
        for ((row, column), value) in matrix.indexed_iter_mut() {
            let fits = match tensor.name.as_str() {
                "emissions" => row % 4 == column,
                "transitions" => row == column,
                _ => true,
            };
            *value = if fits { 1.0 } else { 1e-20 };
        }
        hmm.layout().import(&mut weights, id, &matrix);
    }
    let words: Box<[u32]> = [0, 1, 2, 3, 3, 2, 1, 0].into();
    let mut gradient = Gradient::new(0.0);
    let worker = Worker::reader(hmm.layout(), &weights);
    let batch = Batch::new(0, 1, &[0], std::slice::from_ref(&words));
    let loss = hmm.gradient(&worker, &batch, &mut hmm.workspace(), &mut gradient);
    assert!(loss.is_finite());
    for sum in gradient.sums() {
        let expected = match hmm.layout().tensor(sum.tensor).name.as_str() {
            "initial" => 1.0,
            "transitions" => 7.0,
            _ => 8.0,
        };
        let found: f32 = sum.values.iter().sum();
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
    assert_eq!(gradient.sums().len(), 3);
}

fn train(
    strategy: impl Strategy,
    update: impl Update,
    threads: usize,
    passes: u32,
) -> (Hmm, SharedWeights, f64) {
    let hmm = hmm(2);
    let mut weights = hmm.initial_weights(1);
    let trainer = Trainer::builder()
        .strategy(strategy)
        .update(update)
        .threads(threads)
        .passes(passes)
        .accumulate(4)
        .build()
        .unwrap();
    let outcome = trainer.fit(&hmm, &sentences(400), &mut weights, &mut ()).unwrap();
    let loss = outcome.passes.last().unwrap().loss;
    (hmm, weights, loss)
}

fn rule() -> StepwiseEm {
    StepwiseEm { multinomials: hmm(2).multinomials(), ..StepwiseEm::default() }
}

#[test]
fn one_worker_of_any_strategy_is_serial() {
    let serial = train(Serial, rule(), 1, 2).1.to_vec();
    let same = |weights: Vec<Real>| assert_eq!(weights, serial);
    same(train(AsynGrad, rule(), 1, 2).1.to_vec());
    same(train(Locked, rule(), 1, 2).1.to_vec());
    same(train(Minibatch::default(), rule(), 1, 2).1.to_vec());
}

#[test]
fn classes_are_found_by_every_rule_and_strategy() {
    let batch = BatchEm { multinomials: rule().multinomials };
    let incremental = IncrementalEm { multinomials: rule().multinomials };
    let runs = [
        train(Serial, rule(), 1, 20),
        train(AsynGrad, rule(), 2, 20),
        train(Locked, rule(), 2, 20),
        train(Serial, batch, 1, 200),
        train(Serial, incremental.clone(), 1, 200),
        train(AsynGrad, incremental, 2, 200),
    ];
    for (hmm, weights, loss) in &runs {
        assert!((loss - runs[0].2).abs() < 0.02 * loss, "{loss} {}", runs[0].2);
        let reader = Worker::reader(hmm.layout(), weights);
        let (mut workspace, mut states) = (hmm.workspace(), Vec::new());
        let words: Box<[u32]> = (0..N_WORDS / 2).flat_map(|word| [word, word + 6]).collect();
        hmm.decode(&reader, &words, &mut workspace, &mut states);
        assert!(states.chunks(2).all(|pair| pair[0] == states[0] && pair[1] != states[0]));
    }
}

#[test]
fn unknown_words_take_the_state_that_fits() {
    let (hmm, weights, _) = train(Serial, rule(), 1, 20);
    let reader = Worker::reader(hmm.layout(), &weights);
    let (mut workspace, mut states) = (hmm.workspace(), Vec::new());
    hmm.decode(&reader, &Box::from([0, u32::MAX, 1]), &mut workspace, &mut states);
    assert!(states[0] == states[2] && states[1] != states[0]);
    assert!(Hmm::new(0, 3).is_err() && Hmm::new(1001, 3).is_err());
}
