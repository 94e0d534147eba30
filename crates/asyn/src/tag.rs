//! `asyn tag`.
//!
//! One thread reads blocks of sentences and deals them out to the workers in turn; the workers
//! parse, encode, label and print into memory; the calling thread collects in the same turn and
//! writes. Blocks wait in queues of fixed length, so memory is bounded however long the input is.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use asyn::data::{
    Conllu, Corpus, Encoder, Error, Format, FormatOptions, Grammar, ModelFault, Scheme, Template,
    UNKNOWN_LABEL, join_words,
};
use asyn::{HMM_KIND, Labeller, StateTagger, Tagger};

use crate::answer::{Answerer, Input, MEMORY, Question};
use crate::args::TagArgs;
use crate::corpus_blocks::{Block, Blocks};
use crate::data::warn_of_unknown;
use crate::failure::Failure;
use crate::format::{ValidChoice, options_of};
use crate::progress::Talk;
use crate::settings::{all_cores, format_of_model};
use crate::states;

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
pub(crate) struct Task<'t> {
    pub(crate) tagger: &'t Tagger,
    pub(crate) format: Format,
    pub(crate) options: &'t FormatOptions,
    pub(crate) print: Print<'t>,
}

/// How labels are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Print<'t> {
    /// Behind the columns, with what else is asked for; in CoNLL-U in the last field that is a column.
    Column(&'t Question),
    /// As spaces between the words that they spell.
    Words,
}

/// Labels a file.
pub(crate) fn run(args: &TagArgs, talk: Talk) -> Result<(), Failure> {
    let started = Instant::now();
    let threads = args.threads.unwrap_or_else(all_cores).get();
    let loaded = Tagger::load(&args.model, threads);
    if loaded.as_ref().is_err_and(is_of_states) {
        return tag_with_states(args);
    }
    let (tagger, about) = loaded?;
    talk.detail(&format!("loaded in {:.3} s", started.elapsed().as_secs_f64()));

    let encoder = tagger.encoder();
    let (of_training, fields) = format_of_model(&about);
    let of_file = args.format.map(Format::from).or_else(|| Format::of_path(&args.file));
    let has_attributes = *encoder.template() == Template::attributes(encoder.n_columns());
    let otherwise = if has_attributes { Format::Crfsuite } else { Format::Columns };
    let format = of_file.or(of_training).unwrap_or(otherwise);
    let mut options = options_of(args.columns.as_ref().or(fields.as_ref()));
    if let Some(scheme) = Scheme::guess(encoder.written_labels()) {
        options.scheme = scheme;
    }
    let (n_fields, n_columns) = (options.fields.len(), encoder.n_columns());
    if format == Format::Conllu && n_fields != n_columns {
        return Err(Failure::Usage(format!(
            "--columns names {n_fields} fields: the model is one of {n_columns} columns"
        )));
    }
    if let (Format::Conllu, Some(flag)) = (format, more_than_labels(args)) {
        return Err(Failure::Usage(format!("{flag} has no place in CoNLL-U")));
    }
    if has_attributes != (format == Format::Crfsuite) {
        let problem = "models of attributes label files of CRFsuite, and no other models do";
        return Err(Failure::Usage(problem.to_owned()));
    }
    options.n_columns = Some(n_columns);
    let question = question(args, &tagger)?;
    let tagger = tagger.with_grammar(question.grammar.clone());
    let print = Print::Column(&question);
    let task = Task { tagger: &tagger, format, options: &options, print };
    label_file(task, &args.file, threads, talk)
}

/// Returns whether a model could not be loaded because it is one of states.
fn is_of_states(error: &asyn::Error) -> bool {
    matches!(
        error,
        asyn::Error::Data(Error::Model { fault: ModelFault::Kind { actual, .. }, .. })
            if actual == HMM_KIND
    )
}

fn tag_with_states(args: &TagArgs) -> Result<(), Failure> {
    if let Some(flag) = more_than_labels(args) {
        let problem = format!("{flag} needs a model of kind crf: this is a {HMM_KIND}");
        return Err(Failure::Usage(problem));
    }
    states::tag(&StateTagger::load(&args.model)?, &args.file, args.format)
}

/// Labels a file on `threads` workers and prints it.
pub(crate) fn label_file(
    task: Task<'_>,
    path: &Path,
    threads: usize,
    talk: Talk,
) -> Result<(), Failure> {
    let started = Instant::now();
    let blocks = Blocks::open(path, task.format)?;
    let name = blocks.name().to_owned();
    let mut output = stdout().lock();
    let mut total = Labelled::default();
    label_all(task, &name, blocks, threads, |labelled| {
        if total.n_tokens == 0 {
            total.n_columns = labelled.n_columns;
        } else if labelled.n_tokens > 0 && total.n_columns != labelled.n_columns {
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
    if total.n_tokens == 0 && !matches!(task.print, Print::Words) {
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

/// Returns the first flag that asks for more than the most probable label of each token.
fn more_than_labels(args: &TagArgs) -> Option<&'static str> {
    let flags = [
        (args.marginals, "--marginals"),
        (args.span_marginals, "--span-marginals"),
        (args.constraints, "--constraints"),
        (args.nbest.is_some(), "--nbest"),
        (args.explain, "--explain"),
    ];
    flags.into_iter().find(|(is_set, _)| *is_set).map(|(_, flag)| flag)
}

/// Puts together what is asked of the model.
fn question(args: &TagArgs, tagger: &Tagger) -> Result<Question, Failure> {
    let encoder = tagger.encoder();
    if let (None, Some(flag)) = (tagger.crf(), more_than_labels(args)) {
        let kind = tagger.model().kind();
        let problem = format!("{flag} needs a model of kind crf: this is a {kind}");
        return Err(Failure::Usage(problem));
    }
    let scheme = match args.valid {
        None => encoder.scheme(),
        Some(Some(ValidChoice::Off)) => None,
        Some(Some(ValidChoice::Scheme(scheme))) => Some(scheme.into()),
        Some(None) => {
            let scheme = encoder.scheme().or_else(|| Scheme::guess(encoder.labels()));
            Some(scheme.ok_or_else(|| {
                let problem = "--valid: the labels of the model are of no tag scheme";
                Failure::Usage(problem.to_owned())
            })?)
        }
    };
    Ok(Question {
        marginals: args.marginals,
        span_marginals: args.span_marginals,
        n_best: args.nbest,
        explain: args.explain,
        grammar: scheme.map(|scheme| Grammar::of_scheme(scheme, encoder.labels())),
        insists: args.valid.is_some(),
        constraints: args.constraints,
    })
}

/// Labels all blocks on `threads` workers and hands the results to `collect` in order.
fn label_all(
    task: Task<'_>,
    name: &str,
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
            scope.spawn(move || work(task, name, &blocks, &results));
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
            collect(labelled?)?;
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
    name: &str,
    blocks: &Receiver<Result<Block, Error>>,
    results: &SyncSender<Result<Labelled, Failure>>,
) {
    let mut labeller = task.tagger.labeller();
    for block in blocks {
        let labelled = block.map_err(Failure::from);
        let labelled = labelled.and_then(|block| label(task, name, &mut labeller, &block));
        if results.send(labelled).is_err() {
            return;
        }
    }
}

/// Reads and labels a block; without a token in it, it is printed as it is where lines count.
fn label(
    task: Task<'_>,
    name: &str,
    labeller: &mut Labeller<'_>,
    block: &Block,
) -> Result<Labelled, Failure> {
    let Task { tagger, format, options, print } = task;
    let mut labelled = Labelled { line: block.line, ..Labelled::default() };
    let text = &mut labelled.text;
    let read = block.read(|bytes| {
        if format != Format::Conllu {
            return Ok((format.read(name, bytes, options)?, None));
        }
        let conllu = Conllu::read(name, bytes)?;
        Ok((conllu.corpus(&options.fields)?, Some(conllu)))
    });
    let Some((corpus, conllu)) = read? else {
        if format == Format::Conllu || matches!(print, Print::Words) {
            text.extend_from_slice(&block.bytes);
        }
        return Ok(labelled);
    };
    let encoder = tagger.encoder();
    encoder.check_columns(&corpus)?;
    let mut has_labels = corpus.n_columns() == encoder.n_columns();
    match (print, &conllu) {
        (Print::Column(question), Some(conllu)) => {
            let field = options.fields[options.fields.len() - 1];
            let input = Input { name, line: block.line - 1, first: 0 };
            let labels = Answerer::new(encoder, labeller, question, input).labels(&corpus)?;
            conllu.write_with(field, labels.iter().map(String::as_str), text).expect(MEMORY);
        }
        (Print::Column(question), None) => {
            has_labels &= !question.constraints;
            let first = if format == Format::Crfsuite { corpus.n_columns() - 1 } else { 0 };
            let input = Input { name, line: block.line - 1, first };
            Answerer::new(encoder, labeller, question, input).print(&corpus, text)?;
        }
        (Print::Words, _) => {
            has_labels = false;
            let lines = String::from_utf8_lossy(&block.bytes);
            print_words(encoder, labeller, &corpus, &lines, text).expect(MEMORY);
        }
    }
    labelled.n_tokens = corpus.n_tokens();
    labelled.n_columns = corpus.n_columns();
    if has_labels {
        for label in corpus.sentences().flat_map(|sentence| sentence.labels()) {
            let is_missing = format == Format::Conllu && label == "_";
            if encoder.written_id(label) == UNKNOWN_LABEL && !is_missing {
                *labelled.unknown_labels.entry(label.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(labelled)
}

/// Prints the words of each of `lines`. White space that is there already keeps words apart.
fn print_words(
    encoder: &Encoder,
    labeller: &mut Labeller<'_>,
    corpus: &Corpus,
    lines: &str,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let labels = encoder.labels();
    let mut joined = String::new();
    let mut sentences = corpus.sentences().zip(labeller.label_all(corpus));
    for line in lines.strip_prefix('\u{feff}').unwrap_or(lines).lines() {
        if !line.trim().is_empty() {
            let (sentence, predicted) = sentences.next().expect("a line with text is a sentence");
            let predicted: Vec<&str> =
                predicted.iter().map(|&label| labels[usize::from(label)].as_str()).collect();
            let given: Vec<&str> = sentence.labels().collect();
            let begin = |labels: &[&str]| Scheme::begins(labels).expect("labels of words");
            let begins: Vec<bool> =
                begin(&predicted).iter().zip(begin(&given)).map(|(&p, g)| p || g).collect();
            joined.clear();
            join_words(&sentence, &begins, &mut joined);
            out.write_all(joined.as_bytes())?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}
