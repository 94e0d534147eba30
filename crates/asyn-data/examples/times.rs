//! Times of reading, encoding and scoring a chunking corpus, and of the model file with its encoder.
//!
//! ```text
//! cargo run --release -p asyn-data --example times -- train.txt.gz test.txt
//! ```

#![allow(clippy::print_stdout, reason = "an example reports to its reader")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use asyn_data::conlleval::Counts;
use asyn_data::{
    Corpus, EncodeScratch, Encoded, Encoder, ModelFile, Result, Template, VocabularyOptions,
    open_columns,
};

const REPEATS: usize = 15;

fn main() -> Result<()> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [train_path, test_path] = &paths[..] else {
        println!("two arguments are needed: a training file and a test file");
        return Ok(());
    };
    let train = timed("read the training file", || open_columns(train_path))?;
    for threads in [1, 2] {
        let options = VocabularyOptions { threads, ..VocabularyOptions::default() };
        timed(&format!("count and encode, {threads} threads"), || build(&train, &options))?;
        timed(&format!("read, count and encode, {threads} threads"), || {
            build(&open_columns(train_path)?, &options)
        })?;
    }
    let encoder = build(&train, &VocabularyOptions::default())?;
    let test = timed("read the test file", || open_columns(test_path))?;
    timed("encode the test file sentence by sentence", || encode(&encoder, &test));
    timed("encode the training file sentence by sentence", || encode(&encoder, &train));
    let encoded = encoder.encode(&test, 2)?;
    timed("score the test file by label ids", || {
        let mut counts = Counts::with_labels(encoder.labels());
        for sentence in &encoded.sentences {
            // Labels that are turned around: as many chunks as in the text, many of them wrong.
            let predicted: Vec<u16> = sentence.labels.iter().rev().copied().collect();
            counts.add_ids(&sentence.labels, &predicted);
        }
        counts.score()
    });
    let mut model = ModelFile::new("times");
    encoder.to_tensors(&mut model);
    let bytes = timed("write the encoder to memory", || model.to_bytes())?;
    timed("read the encoder from memory, 2 threads", || {
        Encoder::from_tensors(&ModelFile::from_bytes("memory", &bytes, "times")?, 2)
    })?;
    println!("{} attributes, {} bytes in the file", encoder.n_attributes(), bytes.len());
    Ok(())
}

fn build(corpus: &Corpus, options: &VocabularyOptions<'_>) -> Result<Encoder> {
    let template = Template::builtin("chunking").expect("the crate has it");
    let (encoder, examples) = Encoder::build(corpus, template, options)?;
    black_box(examples);
    Ok(encoder)
}

fn encode(encoder: &Encoder, corpus: &Corpus) -> usize {
    let mut scratch = EncodeScratch::default();
    let mut encoded = Encoded::default();
    for sentence in corpus.sentences() {
        encoder.encode_sentence(&sentence, &mut scratch, &mut encoded);
        black_box(&encoded);
    }
    corpus.n_tokens()
}

/// Calls `work` some times, prints the median and the least time, and returns the last result.
fn timed<T>(name: &str, mut work: impl FnMut() -> T) -> T {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..REPEATS {
        drop(last.take());
        let start = Instant::now();
        last = Some(work());
        times.push(start.elapsed());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:8.2} ms (least {:8.2})  {name}", ms(times[REPEATS / 2]), ms(times[0]));
    last.expect("there is at least one repeat")
}
