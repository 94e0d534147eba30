//! Expectation maximisation: how many pairs of words or tokens a second, and how likely the text is
//! after each pass.
//!
//! `cargo bench -p asyn-bench --bench em` prints the speed of Model 1 and of a hidden Markov model of
//! 45 states with one worker and with two of each strategy, and of two runs with one worker at once,
//! which is what two cores can do where nothing is shared. Runs take turns; figures are medians over
//! their second passes. With `-- likelihood` it prints the log-likelihood of the text, in thousands,
//! by Model 1 after each pass of several update rules: from even probabilities with a total of 1 for
//! each source word (`alike`) and of 100 (`many`), and from counts of words that stand opposite each
//! other (`even`).
//!
//! The texts are planted ones, or where `ASYN_DATA` names the folder of the corpora, `dev200` and
//! `train10k` of Europarl, Spanish to English, and the training part of UD English EWT.
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![allow(clippy::cast_possible_truncation, reason = "words and pairs are few")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use asyn_core::{
    AsynGrad, BatchEm, Event, IncrementalEm, Model, Multinomials, Replicas, Serial, SharedWeights,
    SplitMix64, StepSizes, StepwiseEm, Strategy, Trainer, TrainerBuilder, Update,
};
use asyn_data::{Bitext, Format, FormatOptions, Words, planted};
use asyn_models::{Aligner, AlignmentPair, Cooccurrences, Distortion, Hmm};
use asyn_sync::{Locked, Minibatch};

/// The runs of each act.
const ROUNDS: usize = 7;

/// The passes of runs of which the likelihood is printed.
const PASSES: u32 = 10;

/// Pairs of a step, and the power of step sizes where these are not by the length of a pass, of
/// stepwise EM.
const STEPS: [(u32, Option<f32>); 8] = [
    (10, None),
    (100, None),
    (1000, None),
    (50, Some(0.9)),
    (100, Some(0.7)),
    (100, Some(0.8)),
    (100, Some(1.0)),
    (500, Some(0.6)),
];

fn main() {
    let likelihood = std::env::args().any(|argument| argument == "likelihood");
    let is_test = std::env::args().any(|argument| argument == "--test");
    let rounds = if is_test { 1 } else { ROUNDS };
    let bitext = bitext();
    let (aligner, pairs) = aligner(&bitext);
    if likelihood {
        return likelihoods(&aligner, &pairs, if is_test { 1 } else { PASSES });
    }
    let cells = pairs.iter().map(|pair| (pair.n_source() + 1) * pair.n_target()).sum();
    for per_step in [10, (pairs.len() as u32 / 100).clamp(1, 1000)] {
        let n_pairs = pairs.len();
        println!("Model 1, {n_pairs} pairs, {cells} pairs of words, steps of {per_step} pairs");
        let update = stepwise(aligner.multinomials());
        let (model, examples, rows) = (&aligner, &pairs[..], 1 << 16);
        speeds(&Task { model, examples, units: cells, per_step, update, rows }, rounds);
    }
    let (hmm, sentences) = hmm();
    let tokens = sentences.iter().map(|sentence| sentence.len()).sum();
    println!("HMM of 45 states, {tokens} tokens, {} words, steps of 4", hmm.n_words());
    let (update, per_step) = (stepwise(hmm.multinomials()), 4);
    let (model, examples, rows) = (&hmm, &sentences[..], 512);
    speeds(&Task { model, examples, units: tokens, per_step, update, rows }, rounds);
}

fn stepwise(multinomials: Vec<Multinomials>) -> StepwiseEm {
    StepwiseEm { multinomials, ..StepwiseEm::default() }
}

/// A model, what it is trained on, and how much that is.
struct Task<'a, M: Model> {
    model: &'a M,
    examples: &'a [M::Example],
    units: usize,
    per_step: u32,
    update: StepwiseEm,
    /// The rows of replicas, where there are any.
    rows: u32,
}

impl<M: Model> Task<'_, M> {
    /// Trains two passes, and returns the seconds of the second one.
    fn seconds<S: Strategy, U: Update>(&self, builder: TrainerBuilder<S, U>) -> f64 {
        let trainer = builder.accumulate(self.per_step).passes(2).keep_good(false).build();
        let trainer = trainer.expect("the settings are in range");
        let mut weights = self.model.initial_weights(1);
        let outcome = trainer.fit(self.model, self.examples, &mut weights, &mut ());
        outcome.expect("counts are finite").passes[1].train_time.as_secs_f64()
    }

    fn builder<S: Strategy>(&self, strategy: S, threads: usize) -> TrainerBuilder<S, StepwiseEm> {
        Trainer::builder().strategy(strategy).update(self.update.clone()).threads(threads)
    }
}

fn speeds<M: Model>(task: &Task<'_, M>, rounds: usize) {
    let replicas = Some(Replicas { rows: task.rows, merge_every: 16 });
    let acts: [(&str, &dyn Fn() -> f64); 6] = [
        ("serial", &|| task.seconds(task.builder(Serial, 1))),
        ("asyngrad, 2", &|| task.seconds(task.builder(AsynGrad, 2))),
        ("asyngrad, 2, replicas", &|| task.seconds(task.builder(AsynGrad, 2).replicas(replicas))),
        ("locked, 2", &|| task.seconds(task.builder(Locked, 2))),
        ("minibatch, 2", &|| task.seconds(task.builder(Minibatch::default(), 2))),
        ("two of serial at once", &|| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| task.seconds(task.builder(Serial, 1)));
                let mine = task.seconds(task.builder(Serial, 1));
                mine.max(other.join().expect("no panic")) / 2.0
            })
        }),
    ];
    let mut seconds = vec![Vec::new(); acts.len()];
    for _ in 0..rounds {
        for (seconds, act) in seconds.iter_mut().zip(&acts) {
            seconds.push(act.1());
        }
    }
    for seconds in &mut seconds {
        seconds.sort_by(f64::total_cmp);
    }
    let median = |at: usize| seconds[at][seconds[at].len() / 2];
    for (at, (name, _)) in acts.iter().enumerate() {
        let speed = task.units as f64 / median(at) / 1e6;
        println!("  {name:<28} {speed:8.2} M/s  {:5.2} times serial", median(0) / median(at));
    }
}

/// Runs of Model 1 from the same counts.
struct Start<'a> {
    aligner: &'a Aligner,
    pairs: &'a [AlignmentPair],
    passes: u32,
    name: &'a str,
    counts: &'a [f32],
}

impl Start<'_> {
    /// Prints the log-likelihood of the text by the weights after each pass.
    fn print<U: Update>(&self, name: &str, builder: TrainerBuilder<Serial, U>) {
        print!("{:<6} {name:<22}", self.name);
        let trainer = builder.passes(self.passes).keep_good(false).build();
        let trainer = trainer.expect("the settings are in range");
        let mut weights = self.aligner.import(self.counts);
        let mut fixed = |event: Event<'_, '_>| {
            if let Event::PassEnded { quiet, .. } = event {
                print!(" {:.1}", likelihood(self.aligner, self.pairs, quiet.weights()) / 1e3);
            }
            ControlFlow::Continue(())
        };
        let outcome = trainer.fit(self.aligner, self.pairs, &mut weights, &mut fixed);
        outcome.expect("counts are finite");
        println!();
    }
}

fn likelihoods(aligner: &Aligner, pairs: &[AlignmentPair], passes: u32) {
    let alike = aligner.export(&aligner.initial_weights(1));
    let many = alike.iter().map(|count| 100.0 * count).collect();
    let even = aligner.table().even_counts(pairs);
    for (name, counts) in [("alike", alike), ("many", many), ("even", even)] {
        let start = Start { aligner, pairs, passes, name, counts: &counts };
        let multinomials = aligner.multinomials();
        let batch = BatchEm { multinomials: multinomials.clone() };
        start.print("batch", Trainer::builder().update(batch));
        for per_step in [1, 20] {
            let rule = IncrementalEm { multinomials: multinomials.clone() };
            let builder = Trainer::builder().update(rule).accumulate(per_step);
            start.print(&format!("incremental {per_step}"), builder);
        }
        for (per_step, power) in STEPS {
            let sizes = power.map_or(StepSizes::Window, StepSizes::Power);
            let update = StepwiseEm { sizes, ..stepwise(multinomials.clone()) };
            let builder = Trainer::builder().update(update).accumulate(per_step);
            let power = power.map(|power| format!(", {power}"));
            start.print(&format!("stepwise {per_step}{}", power.unwrap_or_default()), builder);
        }
    }
}

fn likelihood(aligner: &Aligner, pairs: &[AlignmentPair], weights: &SharedWeights) -> f64 {
    let mut posteriors = Vec::new();
    pairs.iter().map(|pair| aligner.posteriors(weights, pair, &mut posteriors)).sum()
}

fn data() -> Option<PathBuf> {
    std::env::var_os("ASYN_DATA").map(PathBuf::from)
}

fn bitext() -> Bitext {
    let Some(data) = data() else { return planted_bitext() };
    let side = |language: &str| -> String {
        let part = |name: &str| {
            let path = data.join("europarl-es-en").join(format!("{name}.{language}"));
            std::fs::read_to_string(path).expect("ASYN_DATA names the folder of the corpora")
        };
        part("dev200") + &part("train10k")
    };
    Bitext::read_pair(["es", "en"], [&side("es"), &side("en")]).expect("as many lines")
}

/// Pairs of about 25 words, whose frequencies fall as their ranks rise.
fn planted_bitext() -> Bitext {
    let mut random = SplitMix64::new(3);
    let mut text = String::new();
    for _ in 0..2000 {
        let words: Vec<u64> = (0..15 + random.below(20))
            .map(|_| {
                let most = 1 + random.below(9000);
                random.below(most)
            })
            .collect();
        let line = |mark: char| words.iter().map(|word| format!("{mark}{word} ")).collect();
        let (left, right): (String, String) = (line('a'), line('b'));
        text += &format!("{left} ||| {right}\n");
    }
    Bitext::read_lines("planted", &text).expect("every line has two sides")
}

fn aligner(bitext: &Bitext) -> (Aligner, Vec<AlignmentPair>) {
    let (left, right) = (bitext.left(), bitext.right());
    let fits = |n: usize| (1..=200).contains(&n);
    let lengths = |pair: usize| bitext.lengths(pair);
    let used: Vec<usize> = (0..bitext.n_pairs())
        .filter(|&pair| fits(lengths(pair).0) && fits(lengths(pair).1))
        .collect();
    let n_words = (left.words().len(), right.words().len());
    let pair = |at: usize| (left.sentence(used[at]), right.sentence(used[at]));
    let (table, pairs) = Cooccurrences::build(n_words, used.len(), pair).expect("few counts");
    (Aligner::new(table, Distortion::Uniform), pairs)
}

fn hmm() -> (Hmm, Vec<Box<[u32]>>) {
    let path = data().map(|data| data.join("ud-english-ewt/en_ewt-ud-train.conllu.gz"));
    let corpus = match &path {
        Some(path) => open(path),
        None => planted::chunking(1000, 17).corpus(),
    };
    let words = |sentence: asyn_data::Sentence<'_>| -> Vec<String> {
        (0..sentence.len()).map(|token| sentence.column(token, 0).to_owned()).collect()
    };
    let sentences: Vec<Vec<String>> = corpus.sentences().map(words).collect();
    let known = Words::new(sentences.iter().flatten().map(String::as_str));
    let number = |word: &String| known.find(word).expect("it was just added");
    let encoded = sentences.iter().map(|words| words.iter().map(number).collect()).collect();
    (Hmm::new(45, known.len()).expect("45 states"), encoded)
}

fn open(path: &Path) -> asyn_data::Corpus {
    let options = FormatOptions::default();
    Format::Conllu.open(path, &options).expect("ASYN_DATA names the folder of the corpora")
}
