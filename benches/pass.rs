//! Whole passes of training a dense-CRF, and decoding, in tokens a second.
//!
//! Covers: `pass` with one worker (SGD, ADF) and with two (AsynGrad with the settings of its
//! source, AsynGrad tuned, Locked, RoundRobin, Minibatch; all with ADF), and `decode` by one
//! thread: the best labels, and the best labels with their probabilities out of all paths. The rival in the group is l2sgd of the crate `crfs`, on the first sentences only,
//! since it takes longer the more features there are: its throughput is flattered by that.
//!
//! The corpus is a planted one, or the training part of CoNLL-2000 where `ASYN_DATA` names the
//! folder of the corpora; the first line that is printed says which, and only between runs on
//! the same one does Criterion's comparison mean anything. Times of passes are those
//! of the trainer's clock from the second pass on, so no allocation and no reading out is in
//! them. What a pass is worth is another matter: one of Minibatch learns less than one of
//! AsynGrad.
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

use std::hint::black_box;
use std::time::Duration;

use asyn_core::{
    Adf, AsynGrad, Decode, Model, Replicas, Schedule, Serial, Sgd, SharedWeights, Strategy,
    Trainer, TrainerBuilder, Update, Worker,
};
use asyn_models::{Constraints, Lattice};
use asyn_sync::{Locked, Minibatch, RoundRobin};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

use chunker::{Chunker, n_tokens};

#[path = "chunker.rs"]
mod chunker;

/// The sentences that the rival gets.
const FEW: usize = 100;
/// The passes of the rival, so that making its features takes a small part of the time.
const FEW_PASSES: usize = 5;

impl Chunker {
    /// Trains one pass more than `passes`, and returns the time of these.
    fn time_of_passes<S: Strategy, U: Update>(
        &self,
        builder: TrainerBuilder<S, U>,
        passes: u64,
    ) -> Duration {
        let passes = u32::try_from(passes).expect("a sample has few passes");
        let trainer = builder.passes(passes + 1).build().expect("the settings are in range");
        let mut weights = self.crf.initial_weights(1);
        let outcome = trainer.fit(&self.crf, &self.examples, &mut weights, &mut ());
        let reports = outcome.expect("the step size is small").passes;
        assert!(reports.iter().all(|report| report.examples == self.examples.len() as u64));
        black_box(weights);
        reports[1..].iter().map(|report| report.train_time).sum()
    }

    fn trained(&self) -> SharedWeights {
        let mut weights = self.crf.initial_weights(1);
        let trainer = Trainer::builder().update(adf()).passes(2).build();
        let trainer = trainer.expect("the settings are in range");
        trainer.fit(&self.crf, &self.examples, &mut weights, &mut ()).expect("it learns");
        weights
    }
}

fn sgd() -> Sgd {
    let schedule = Schedule::Exponential { rate: 0.2, factor: 0.8 };
    Sgd { schedule, l2: 0.5, ..Sgd::default() }
}

fn adf() -> Adf {
    Adf { rate: 0.2, l2: 0.5, ..Adf::default() }
}

/// Returns two workers with the settings of AsynGrad's source.
fn two<S>(strategy: S) -> TrainerBuilder<S, Adf> {
    Trainer::builder().strategy(strategy).update(adf()).threads(2)
}

fn bench_pass<S: Strategy + 'static, U: Update + 'static>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    fixture: &Chunker,
    id: &str,
    builder: impl Fn() -> TrainerBuilder<S, U>,
) {
    group.throughput(Throughput::Elements(n_tokens(&fixture.examples)));
    group.bench_function(id, |b| b.iter_custom(|passes| fixture.time_of_passes(builder(), passes)));
}

fn dense_crf(c: &mut Criterion) {
    let fixture = Chunker::new();
    println!(
        "corpus: {}, {} sentences, {} tokens, {} attributes, {} labels",
        fixture.corpus.name(),
        fixture.corpus.n_sentences(),
        fixture.corpus.n_tokens(),
        fixture.encoder.n_attributes(),
        fixture.encoder.labels().len()
    );
    passes(c, &fixture);
    decode(c, &fixture);
}

fn passes(c: &mut Criterion, fixture: &Chunker) {
    let mut group = c.benchmark_group("pass");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1));
    let group = &mut group;
    bench_pass(group, fixture, "serial/sgd", || Trainer::builder().update(sgd()));
    bench_pass(group, fixture, "serial/adf", || Trainer::builder().strategy(Serial).update(adf()));
    bench_pass(group, fixture, "asyngrad-2/plain", || two(AsynGrad));
    bench_pass(group, fixture, "asyngrad-2/tuned", || {
        let replicas = Replicas { rows: 256, merge_every: 16 };
        two(AsynGrad).sums_every(8).sparse_threshold(0.05).replicas(Some(replicas))
    });
    bench_pass(group, fixture, "locked-2", || two(Locked));
    bench_pass(group, fixture, "round-robin-2", || two(RoundRobin));
    bench_pass(group, fixture, "minibatch-2", || two(Minibatch::default()));
    rival(group, fixture);
}

/// Runs l2sgd of `crfs` on the same attributes and labels.
///
/// It has a weight only for pairs of attribute and label that occur, where the dense-CRF has one
/// for each.
fn rival(group: &mut BenchmarkGroup<'_, WallTime>, fixture: &Chunker) {
    let few = &fixture.examples[..FEW];
    let labels = fixture.encoder.labels();
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let model = folder.path().join("model.crfsuite");
    let trainer = || {
        let mut trainer = crfs::train::Trainer::l2sgd();
        let params = trainer.params_mut();
        params.set_max_iterations(FEW_PASSES).expect("in range");
        params.set_shuffle_seed(Some(17));
        // Its search for a step size is not part of a pass; one trial cannot be avoided.
        params.set_calibration_samples(1).expect("in range");
        params.set_calibration_candidates(1).expect("in range");
        params.set_calibration_max_trials(1).expect("in range");
        for sentence in few {
            let attributes: Vec<Vec<crfs::Attribute>> = (0..sentence.n_tokens())
                .map(|token| sentence.attributes_of(token).iter())
                .map(|ids| ids.map(|id| crfs::Attribute::new(id.to_string(), 1.0)).collect())
                .collect();
            let gold: Vec<&str> =
                sentence.labels.iter().map(|&label| labels[usize::from(label)].as_str()).collect();
            trainer.append(&attributes, &gold).expect("a sentence has tokens");
        }
        trainer
    };
    group.throughput(Throughput::Elements(n_tokens(few) * FEW_PASSES as u64));
    group.bench_function(format!("crfs-l2sgd/{FEW}-sentences"), |b| {
        b.iter_batched_ref(
            trainer,
            |trainer| trainer.train(&model).expect("it trains"),
            criterion::BatchSize::PerIteration,
        )
    });
}

fn decode(c: &mut Criterion, fixture: &Chunker) {
    let weights = fixture.trained();
    let reader = Worker::reader(fixture.crf.layout(), &weights);
    let mut workspace = fixture.crf.workspace();
    let mut labels = Vec::new();
    let mut group = c.benchmark_group("decode");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(n_tokens(&fixture.examples)));
    group.bench_function("serial", |b| {
        b.iter(|| {
            for sentence in &fixture.examples {
                fixture.crf.decode(&reader, sentence, &mut workspace, &mut labels);
                black_box(&labels);
            }
        })
    });
    let mut lattice = Lattice::default();
    group.bench_function("all-paths", |b| {
        b.iter(|| {
            for sentence in &fixture.examples {
                let free = Constraints::default();
                fixture.crf.lattice(&reader, sentence, free, &mut workspace, &mut lattice);
                let best = lattice.best_first().next().expect("something is allowed");
                let labels = best.labels.iter().enumerate();
                let probability = |(token, &label)| lattice.label_probability(token, label);
                black_box(labels.map(probability).sum::<f64>());
            }
        })
    });
    group.finish();
}

criterion_group!(benches, dense_crf);
criterion_main!(benches);
