//! `asyn align`.
//!
//! One thread reads parts of the text and the calling one aligns and writes them, so that memory is
//! bounded however long the text is, and what comes through a pipe is answered at once.

use std::io::{Write as _, stdout};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use asyn::WordAligner;
use asyn::data::{Bitext, BitextParts, Side, Words};

use crate::align_args::{AlignArgs, AlignVerb, ApplyArgs};
use crate::align_train::train;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Talk;
use crate::settings::all_cores;

/// The pairs of words of a part.
const CELLS_OF_PART: usize = 1 << 21;

/// How long it may take until a request to end is noticed while nothing comes in.
const PATIENCE: Duration = Duration::from_millis(50);

/// The share of known words below which a text is taken for one of other languages.
const LEAST_KNOWN: f64 = 0.25;

/// Trains an aligner, or aligns with one.
pub(crate) fn run(args: &AlignArgs, talk: Talk) -> Result<(), Failure> {
    match &args.verb {
        Some(AlignVerb::Train(args)) => train(args, talk),
        None => align(&args.apply),
    }
}

/// Reads a whole text.
pub(crate) fn open(file: &Path, right: Option<&Path>) -> Result<Bitext, Failure> {
    Ok(match right {
        Some(right) => Bitext::open_pair(file, right)?,
        None => Bitext::open(file)?,
    })
}

/// Opens a text that is read in parts.
pub(crate) fn open_parts(file: &Path, right: Option<&Path>) -> Result<BitextParts, Failure> {
    Ok(match right {
        Some(right) => BitextParts::open_pair(file, right)?,
        None => BitextParts::open(file)?,
    })
}

/// Prints the links of each pair.
fn align(args: &ApplyArgs) -> Result<(), Failure> {
    let model = args.model.as_deref().expect("clap asks for it");
    let (aligner, _) = WordAligner::load(model)?;
    let interrupt = Interrupt::listen();
    let (sender, parts) = sync_channel(1);
    let (file, right) = (args.file.clone(), args.right.clone());
    // Not in a scope: a reader that waits for a pipe must not hold up the end.
    thread::spawn(move || {
        let mut text = match open_parts(&file, right.as_deref()) {
            Ok(text) => text,
            Err(failure) => return drop(sender.send(Err(failure))),
        };
        while let Some(part) = text.next(CELLS_OF_PART, false).map_err(Failure::from).transpose() {
            let is_error = part.is_err();
            if sender.send(part).is_err() || is_error {
                return;
            }
        }
    });
    let mut output = stdout().lock();
    let mut n_pairs = 0;
    while let Some(part) = next(&parts, &interrupt, n_pairs)? {
        if n_pairs == 0 {
            check_languages(&aligner, &part, args)?;
        }
        n_pairs += part.n_pairs();
        for text in lines(&aligner, &part, args) {
            output.write_all(text.as_bytes()).map_err(|source| Failure::Output { source })?;
        }
        output.flush().map_err(|source| Failure::Output { source })?;
    }
    Ok(())
}

/// Waits for the next part, and for a request to end.
fn next(
    parts: &Receiver<Result<Bitext, Failure>>,
    interrupt: &Interrupt,
    n_pairs: usize,
) -> Result<Option<Bitext>, Failure> {
    loop {
        if interrupt.is_asked() {
            return Err(Failure::Stopped(format!("stopped after {n_pairs} pairs")));
        }
        match parts.recv_timeout(PATIENCE) {
            Ok(part) => return part.map(Some),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Returns the lines of all pairs, in a few texts.
fn lines(aligner: &WordAligner, bitext: &Bitext, args: &ApplyArgs) -> Vec<String> {
    let n_threads = args.threads.unwrap_or(all_cores()).get();
    let n_pairs = bitext.n_pairs();
    let of_thread = n_pairs.div_ceil(n_threads).max(1);
    let text = |first: usize| -> String {
        let pairs = first..(first + of_thread).min(n_pairs);
        pairs.map(|pair| line(aligner, bitext, pair, args)).collect()
    };
    thread::scope(|scope| {
        let firsts = (0..n_pairs).step_by(of_thread);
        let workers: Vec<_> = firsts.map(|first| scope.spawn(move || text(first))).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|text| text.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Returns the line of a pair.
fn line(aligner: &WordAligner, bitext: &Bitext, pair: usize, args: &ApplyArgs) -> String {
    let words = |side: &'_ Side| -> Vec<String> {
        side.sentence(pair).iter().map(|&id| side.words().get(id).to_owned()).collect()
    };
    let (left, right) = (words(bitext.left()), words(bitext.right()));
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let links = aligner.align(&left, &right, args.sym.into());
    if !args.posteriors {
        return format!("{links}\n");
    }
    let probabilities = aligner.probabilities(&left, &right, &links);
    let items = links.iter().zip(probabilities);
    let items = items.map(|((left, right), p)| format!("{left}-{right}:{p:.4}"));
    items.collect::<Vec<_>>().join(" ") + "\n"
}

/// Refuses a text whose words the model hardly knows, or knows better on the other side.
fn check_languages(
    aligner: &WordAligner,
    bitext: &Bitext,
    args: &ApplyArgs,
) -> Result<(), Failure> {
    let (left, right) = aligner.words();
    let known = |side, words| share_known(side, bitext.n_pairs(), words);
    let file = args.file.display();
    let sides = [known(bitext.left(), left), known(bitext.right(), right)];
    let swapped = [known(bitext.left(), right), known(bitext.right(), left)];
    if swapped[0] > sides[0] && swapped[1] > sides[1] {
        let problem = "the sides are the other way round than those of the model";
        return Err(Failure::Data(format!("{file}: {problem}")));
    }
    for (name, known) in ["left", "right"].into_iter().zip(sides) {
        if known < LEAST_KNOWN {
            return Err(Failure::Data(format!(
                "{file}: the model knows {:.1} % of the words on the {name}: is it one of these languages?",
                100.0 * known
            )));
        }
    }
    Ok(())
}

/// Returns the share of the words of a text that are in a vocabulary.
fn share_known(side: &Side, n_pairs: usize, words: &Words) -> f64 {
    let is_known: Vec<bool> = side.words().iter().map(|word| words.find(word).is_some()).collect();
    let ids = (0..n_pairs).flat_map(|pair| side.sentence(pair));
    let n_known = ids.filter(|&&id| is_known[id as usize]).count();
    if side.n_tokens() == 0 { 1.0 } else { n_known as f64 / side.n_tokens() as f64 }
}
