//! The gradient of a Bi-LSTM and its labelling, in tokens a second and against the speed of the
//! multiply-add units.
//!
//! Covers: the gradient alone, which leaves matrices in their factors, the gradient with a plain
//! step, in which these factors are multiplied, labelling, and training with Adam, its tables and
//! vectors of words included; one layer over words with as many inputs as units in each
//! direction, 25 tokens a sentence. Each is measured in turn with the
//! peak. Multiplications are counted as the model has them, without padding, and without
//! embeddings, activations and the output layer, whose time counts.
#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![allow(clippy::cast_possible_truncation, reason = "words, labels and sentences are few")]

use std::hint::black_box;
use std::time::Duration;

use asyn_core::shared::isa;
use asyn_core::{
    Adam, Batch, Gradient, Model, Purpose, Serial, SharedWeights, SplitMix64, Trainer, Worker,
};
use asyn_data::TokenIds;
use asyn_models::{BiLstm, BiLstmSpec, BiLstmWorkspace, Column, Initial, OutputLayer};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use interleaved::Timing;

#[path = "interleaved.rs"]
mod interleaved;
#[path = "peak.rs"]
mod peak;

/// Inputs and units of the part-of-speech tagger and of the chunker of Sun (2016, table 2).
const SIZES: [usize; 2] = [170, 280];
/// The sentences of a step.
const BATCHES: [usize; 3] = [1, 4, 8];
/// The tokens of a sentence.
const TOKENS: usize = 25;
/// The sentences that are labelled, or trained on in a pass.
const MANY: usize = 100;
/// The words and the labels.
const WORDS: u32 = 9000;
const LABELS: u16 = 44;
/// The acts, in the order of [`Fixture::act`].
const ACTS: [&str; 4] = ["gradient", "step", "label", "Adam"];

/// A model and what it works on.
struct Fixture {
    model: BiLstm,
    size: usize,
    weights: SharedWeights,
    sentences: Vec<TokenIds>,
    ids: Vec<u32>,
    workspace: BiLstmWorkspace,
    gradient: Gradient,
    labels: Vec<Vec<u16>>,
}

impl Fixture {
    fn new(size: usize, batch: usize) -> Self {
        let model = BiLstm::new(&BiLstmSpec {
            columns: vec![Column { rows: WORDS as usize, width: size, first_rare: WORDS }],
            characters: None,
            hidden: size,
            layers: 1,
            labels: usize::from(LABELS),
            output: OutputLayer::Softmax,
            dropout: 0.0,
            unknown: 0.0,
            initial: Initial::Orthogonal,
        });
        let model = model.expect("the numbers are in range");
        let mut random = SplitMix64::stream(1, Purpose::Calibration, 0, 0);
        let mut sentence = || TokenIds {
            ids: (0..TOKENS).map(|_| random.below(u64::from(WORDS)) as u32).collect(),
            characters: Vec::new(),
            offsets: vec![0; TOKENS + 1],
            labels: (0..TOKENS).map(|_| random.below(u64::from(LABELS)) as u16).collect(),
        };
        Self {
            size,
            weights: model.initial_weights(1),
            sentences: (0..MANY).map(|_| sentence()).collect(),
            ids: (0..batch as u32).collect(),
            workspace: model.workspace(),
            gradient: Gradient::new(0.0),
            labels: Vec::new(),
            model,
        }
    }

    fn act(&mut self, act: usize) {
        if act == 3 {
            let trainer = Trainer::builder().strategy(Serial).update(Adam::default());
            let trainer = trainer.accumulate(self.ids.len() as u32).passes(1);
            let trainer = trainer.keep_good(false).build().expect("the settings are in range");
            let mut weights = SharedWeights::zeroed(self.weights.len());
            weights.copy_from(&self.weights);
            let outcome = trainer.fit(&self.model, &self.sentences, &mut weights, &mut ());
            outcome.expect("training does not diverge");
            return;
        }
        let worker = Worker::reader(self.model.layout(), &self.weights);
        if act == 2 {
            let (workspace, labels) = (&mut self.workspace, &mut self.labels);
            return self.model.label(&worker, &self.sentences, workspace, labels);
        }
        self.gradient.clear();
        self.gradient.clear_sums();
        let batch = Batch::new(0, 1, &self.ids, &self.sentences);
        let (workspace, gradient) = (&mut self.workspace, &mut self.gradient);
        black_box(self.model.gradient(&worker, &batch, workspace, gradient));
        if act == 1 {
            // So small a step that the weights stay what they are.
            let a = -1e-9;
            gradient.spreads().iter().for_each(|spreads| worker.add_rows(0, spreads, a));
            gradient.sums().iter().for_each(|sum| worker.blend_whole(0, sum, 1.0, a));
            gradient.outers().iter().for_each(|outer| worker.add_outer(0, outer, a));
        }
    }

    fn tokens(&self, act: usize) -> usize {
        match act {
            2 | 3 => TOKENS * MANY,
            _ => TOKENS * self.ids.len(),
        }
    }

    /// Returns the operations of an act: once the matrices of both directions for labelling, twice
    /// for a gradient, three times for a step.
    fn flops(&self, act: usize) -> f64 {
        let matrices = 2 * 2 * self.size * 4 * self.size;
        let times = [2, 3, 1, 3][act];
        (2 * times * matrices * self.tokens(act)) as f64
    }
}

/// Prints each act as a share of the peak.
fn share_of_peak(_: &mut Criterion) {
    for size in SIZES {
        println!("{}, {size} inputs and units: k tokens/s, GF/s (share of the peak)", isa());
        for batch in BATCHES {
            print!("  {batch} sentences");
            let mut fixture = Fixture::new(size, batch);
            for (act, name) in ACTS.iter().enumerate() {
                let (tokens, flops) = (fixture.tokens(act) as f64, fixture.flops(act));
                let mut run = || fixture.act(act);
                let Some((peak, peak_flops)) = peak::of(isa()) else {
                    let seconds = Timing::of(&mut [&mut run]).seconds(0);
                    print!("   {name} {:.1} k", tokens / seconds / 1e3);
                    continue;
                };
                let mut peak = || {
                    black_box(peak(black_box(0.5)));
                };
                let timing = Timing::of(&mut [&mut run, &mut peak]);
                let (seconds, share) = (timing.seconds(0), flops / peak_flops / timing.ratio(0, 1));
                let (speed, gigaflops) = (tokens / seconds / 1e3, flops / seconds / 1e9);
                print!("   {name} {speed:.1} k, {gigaflops:.0} ({:.0} %)", 100.0 * share);
            }
            println!();
        }
    }
}

fn acts(c: &mut Criterion) {
    for size in SIZES {
        let mut group = c.benchmark_group(format!("lstm_{size}"));
        group
            .sample_size(20)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1));
        for batch in BATCHES {
            let mut fixture = Fixture::new(size, batch);
            for (act, name) in ACTS.iter().enumerate() {
                group.throughput(Throughput::Elements(fixture.tokens(act) as u64));
                group.bench_function(BenchmarkId::new(*name, batch), |b| {
                    b.iter(|| fixture.act(act));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, share_of_peak, acts);
criterion_main!(benches);
