//! Trains a chunker on all the cores, scores it and writes it: the command in ten lines of Rust.
//!
//! ```text
//! cargo run --release -p asyn --example chunker
//! ```

#![allow(clippy::print_stdout, reason = "an example reports to its reader")]

use std::collections::BTreeMap;
use std::thread::available_parallelism;

use asyn::core::{Adf, AsynGrad, Trainer};
use asyn::data::{Encoder, Template, VocabularyOptions, planted};
use asyn::{HeldOut, Result, Tagger};

fn main() -> Result<()> {
    let threads = available_parallelism().map_or(1, |threads| threads.get());
    let planted = planted::chunking(4000, 1);
    let (train, test) = planted.corpus().split(0.1, 1);

    let template = Template::builtin("chunking").expect("it comes with the crate");
    let options = VocabularyOptions { threads, ..Default::default() };
    let (encoder, examples) = Encoder::build(&train, template, &options)?;
    let mut tagger = Tagger::untrained(encoder)?;
    let trainer =
        Trainer::builder().strategy(AsynGrad).update(Adf::default()).threads(threads).build()?;
    tagger.fit(&trainer, &examples, &mut ())?;

    let held_out = HeldOut::new(tagger.encoder(), tagger.model(), &test, threads)?;
    let score = held_out.score(tagger.model(), tagger.weights(), threads);
    println!("F1 {:.2}, the best possible is {:.2}", score.f1(), planted.best_score(&test).f1());

    let path = std::env::temp_dir().join("chunker.safetensors");
    tagger.save(&path, BTreeMap::new())?;
    let (tagger, _) = Tagger::load(&path, threads)?;
    let sentence = test.sentence(0);
    let labels = tagger.labeller().label(&sentence).to_vec();
    for (token, &label) in labels.iter().enumerate() {
        println!(
            "{:12} {}",
            sentence.column(token, 0),
            tagger.encoder().labels()[usize::from(label)]
        );
    }
    Ok(())
}
