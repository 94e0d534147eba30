//! `asyn doctor data`: what is odd about a corpus, before anything is trained on it.
//!
//! `corpus` looks at one file and `overlap` at training and development data together; both answer
//! with figures and with sentences.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use asyn::data::{Corpus, Error, Format, FormatOptions, open_text};
use clap::Args;
use serde::Serialize;

use super::corpus::CorpusFindings;
use super::overlap::Overlap;
use crate::data::{default_template, find_template};
use crate::failure::Failure;
use crate::format::{Fields, FormatChoice, format_of, options_of};
use crate::settings::all_cores;

/// How many examples of a finding are named.
pub(super) const SHOWN: usize = 5;

/// The flags of `doctor data`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn doctor data train.txt --dev dev.txt
  asyn doctor data train.conllu --columns FORM,XPOS -p my.template --json")]
pub(crate) struct DataArgs {
    /// Training files: columns, the last one the label, or another format; may be gzipped.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Development data, to be compared with all training files together.
    #[arg(short, long, value_name = "FILE")]
    dev: Option<PathBuf>,
    /// Format of the data [default: by the ending of its name, otherwise columns].
    #[arg(long, value_enum)]
    format: Option<FormatChoice>,
    /// Fields of CoNLL-U that are the columns, the label last [default: FORM,UPOS].
    #[arg(long, value_name = "FIELD,...")]
    columns: Option<Fields>,
    /// Templates of the attributes, as for `train crf`.
    #[arg(short = 'p', long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Findings {
    files: Vec<CorpusFindings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<DevFindings>,
    /// The findings in sentences.
    advice: Vec<String>,
}

/// What was found in the development data.
#[derive(Debug, Serialize)]
struct DevFindings {
    #[serde(flatten)]
    corpus: CorpusFindings,
    overlap: Overlap,
}

/// Reads the data and says what is odd about them.
pub(crate) fn run(args: &DataArgs) -> Result<(), Failure> {
    let mut options = options_of(args.columns.as_ref());
    let mut corpora: Vec<Corpus> = Vec::new();
    for path in &args.files {
        let corpus = read(path, args, &options)?;
        let expected = options.n_columns.get_or_insert(corpus.n_columns());
        if corpus.n_columns() != *expected {
            let (name, expected, actual) =
                (corpus.name().to_owned(), *expected, corpus.n_columns());
            return Err(Error::Columns { name, expected, actual }.into());
        }
        corpora.push(corpus);
    }
    let mut files = Vec::new();
    for (path, corpus) in args.files.iter().zip(&corpora) {
        files.push(examine(path, corpus, args)?);
    }
    let mut dev = None;
    if let Some(path) = &args.dev {
        let corpus = read(path, args, &options)?;
        let expected = corpora[0].n_columns();
        if corpus.n_columns() != expected {
            let (name, actual) = (corpus.name().to_owned(), corpus.n_columns());
            return Err(Error::Columns { name, expected, actual }.into());
        }
        let overlap = Overlap::new(&corpora, &corpus);
        dev = Some(DevFindings { corpus: examine(path, &corpus, args)?, overlap });
    }
    let mut advice: Vec<String> = files.iter().flat_map(CorpusFindings::sentences).collect();
    if let Some(dev) = &dev {
        advice.extend(dev.corpus.sentences());
        advice.extend(dev.overlap.sentences(&dev.corpus.file));
    }
    let n_files = files.len() + usize::from(dev.is_some());
    if advice.len() == n_files {
        advice.push("Nothing odd was found.".to_owned());
    }
    let findings = Findings { files, dev, advice };
    let text = if args.json {
        serde_json::to_string(&findings).expect("numbers and strings are JSON")
    } else {
        findings.advice.join("\n")
    };
    writeln!(stdout(), "{text}").map_err(|source| Failure::Output { source })
}

/// Reads a corpus as training does; of ragged lines all are named, not only the first.
fn read(path: &Path, args: &DataArgs, options: &FormatOptions) -> Result<Corpus, Failure> {
    let format = format_of(path, args.format);
    let corpus = match format.open(path, options) {
        Err(Error::Ragged { name, line, expected, .. }) if path != Path::new("-") => {
            return Err(ragged(path, &name, line, expected)?);
        }
        other => other?,
    };
    if corpus.n_columns() < 2 {
        let (name, actual) = (corpus.name().to_owned(), corpus.n_columns());
        return Err(Error::Columns { name, expected: 2, actual }.into());
    }
    Ok(corpus)
}

fn ragged(path: &Path, name: &str, first: u64, expected: usize) -> Result<Failure, Failure> {
    let text = open_text(path)?;
    let widths = text.lines().map(|line| line.split([' ', '\t', '\r']).filter(|c| !c.is_empty()));
    let widths = (1_u64..).zip(widths.map(Iterator::count));
    let others: BTreeMap<u64, usize> =
        widths.filter(|&(_, width)| width > 0 && width != expected).collect();
    let shown: Vec<String> =
        others.iter().take(SHOWN).map(|(line, width)| format!("{width} in line {line}")).collect();
    let more = if others.len() > SHOWN { ", …" } else { "" };
    let (n, s) = (others.len(), if others.len() == 1 { " has" } else { "s have" });
    Ok(Failure::Data(format!(
        "{name}:{first}: {n} line{s} not the {expected} columns of the first line: {}{more}",
        shown.join(", ")
    )))
}

fn examine(path: &Path, corpus: &Corpus, args: &DataArgs) -> Result<CorpusFindings, Failure> {
    let format = format_of(path, args.format);
    let name = args.template.clone().unwrap_or_else(|| default_template(format, corpus, false));
    let template = find_template(&name, format, corpus.n_columns())?;
    // The columns of attribute files are places for attributes, and may well be empty.
    let has_columns = format != Format::Crfsuite;
    CorpusFindings::new(corpus, template, has_columns, all_cores().get())
}

/// Returns `part` of `whole` in percent.
pub(super) fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Joins the first examples of a finding, and says if there are more.
pub(super) fn listed(examples: impl ExactSizeIterator<Item = String>) -> String {
    let more = if examples.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<String> = examples.take(SHOWN).collect();
    format!("{}{more}", shown.join(", "))
}
