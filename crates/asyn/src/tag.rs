//! `asyn tag`.
//!
//! One thread reads blocks of sentences and deals them out to the workers in turn; the workers
//! parse, encode, label and print into memory; the calling thread collects in the same turn and
//! writes. Blocks wait in queues of fixed length, so memory is bounded however long the input is.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use asyn::data::{Corpus, Error, UNKNOWN_LABEL};
use asyn::{Labeller, Tagger};

use crate::args::TagArgs;
use crate::corpus_blocks::{Block, Blocks};
use crate::failure::Failure;
use crate::plan::warn_of_unknown;
use crate::progress::Talk;
use crate::settings::all_cores;

/// How many blocks may wait for one worker, and how many of its results.
const QUEUE: usize = 2;

/// A block with labels, as it is printed.
#[derive(Debug, Default)]
struct Labelled {
    text: Vec<u8>,
    n_tokens: usize,
    n_columns: usize,
    line: u64,
    unknown_labels: BTreeMap<String, u64>,
}

/// What a worker needs to know.
#[derive(Debug, Clone, Copy)]
struct Task<'t> {
    tagger: &'t Tagger,
    name: &'t str,
    marginals: bool,
}

/// Labels a column file.
pub(crate) fn run(args: &TagArgs, talk: Talk) -> Result<(), Failure> {
    let started = Instant::now();
    let threads = args.threads.unwrap_or_else(all_cores).get();
    let (tagger, _) = Tagger::load(&args.model, threads)?;
    talk.detail(&format!("loaded in {:.3} s", started.elapsed().as_secs_f64()));

    let started = Instant::now();
    let blocks = Blocks::open(&args.file)?;
    let name = blocks.name().to_owned();
    let task = Task { tagger: &tagger, name: &name, marginals: args.marginals };
    let mut output = stdout().lock();
    let mut total = Labelled::default();
    label_all(task, blocks, threads, |labelled| {
        if total.n_columns == 0 {
            total.n_columns = labelled.n_columns;
        } else if total.n_columns != labelled.n_columns {
            let (expected, actual) = (total.n_columns, labelled.n_columns);
            let (name, line) = (name.clone(), labelled.line);
            return Err(Error::Ragged { name, line, expected, actual }.into());
        }
        total.n_tokens += labelled.n_tokens;
        for (label, n) in labelled.unknown_labels {
            *total.unknown_labels.entry(label).or_default() += n;
        }
        let written = output.write_all(&labelled.text).and_then(|()| output.flush());
        written.map_err(|source| Failure::Output { source })
    })?;
    if total.n_tokens == 0 {
        return Err(Error::Empty { name }.into());
    }
    warn_of_unknown(&name, &total.unknown_labels, talk);
    let seconds = started.elapsed().as_secs_f64();
    talk.detail(&format!(
        "{} tokens in {seconds:.3} s: {:.3} M tokens/s",
        total.n_tokens,
        total.n_tokens as f64 / seconds / 1e6
    ));
    Ok(())
}

/// Labels all blocks on `threads` workers and hands the results to `collect` in order.
fn label_all(
    task: Task<'_>,
    blocks: Blocks,
    threads: usize,
    mut collect: impl FnMut(Labelled) -> Result<(), Failure>,
) -> Result<(), Failure> {
    thread::scope(|scope| {
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for _ in 0..threads {
            let (input, blocks) = sync_channel(QUEUE);
            let (results, output) = sync_channel(QUEUE);
            scope.spawn(move || work(task, &blocks, &results));
            inputs.push(input);
            outputs.push(output);
        }
        // Outside of the scope: a reader that waits for a pipe must not hold up the end.
        thread::spawn(move || deal(blocks, &inputs));
        for output in outputs.iter().cycle() {
            // In a fixed turn, the first worker that is done means that no block is left.
            let Ok(labelled) = output.recv() else {
                return Ok(());
            };
            if let Some(labelled) = labelled? {
                collect(labelled)?;
            }
        }
        Ok(())
    })
}

/// Deals blocks out in turn, until they end or nobody takes them any more.
fn deal(blocks: Blocks, inputs: &[SyncSender<Result<Block, Error>>]) {
    for (block, input) in blocks.zip(inputs.iter().cycle()) {
        if input.send(block).is_err() {
            return;
        }
    }
}

/// Labels the blocks of one worker.
fn work(
    task: Task<'_>,
    blocks: &Receiver<Result<Block, Error>>,
    results: &SyncSender<Result<Option<Labelled>, Error>>,
) {
    let mut labeller = task.tagger.labeller();
    for block in blocks {
        let labelled = block.and_then(|block| label(task, &mut labeller, &block));
        if results.send(labelled).is_err() {
            return;
        }
    }
}

fn label(
    task: Task<'_>,
    labeller: &mut Labeller<'_>,
    block: &Block,
) -> Result<Option<Labelled>, Error> {
    let Some(corpus) = block.parse(task.name)? else {
        return Ok(None);
    };
    let encoder = task.tagger.encoder();
    encoder.check_columns(&corpus)?;
    let mut labelled = Labelled {
        n_tokens: corpus.n_tokens(),
        n_columns: corpus.n_columns(),
        line: block.line,
        ..Labelled::default()
    };
    print(task, labeller, &corpus, &mut labelled.text).expect("memory takes whatever is written");
    if corpus.n_columns() == encoder.n_columns() {
        for label in corpus.sentences().flat_map(|sentence| sentence.labels()) {
            if encoder.label_id(label) == UNKNOWN_LABEL {
                *labelled.unknown_labels.entry(label.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(Some(labelled))
}

/// Prints every token with its columns, its label and, where asked for, the confidence.
fn print(
    task: Task<'_>,
    labeller: &mut Labeller<'_>,
    corpus: &Corpus,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let labels = task.tagger.encoder().labels();
    let mut separator = [0; 4];
    let separator = corpus.separator().encode_utf8(&mut separator).as_bytes();
    for sentence in corpus.sentences() {
        let (predicted, confidences) = if task.marginals {
            labeller.label_with_confidence(&sentence)
        } else {
            (labeller.label(&sentence), &[][..])
        };
        for (token, &label) in predicted.iter().enumerate() {
            for cell in sentence.token(token) {
                out.extend_from_slice(cell.as_bytes());
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(labels[usize::from(label)].as_bytes());
            if let Some(confidence) = confidences.get(token) {
                out.extend_from_slice(separator);
                write!(out, "{confidence:.4}")?;
            }
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    Ok(())
}
