//! What is odd about one corpus: labels seen once, mixed tag schemes, long sentences, columns and
//! attributes that say nothing, repeated sentences.

use std::collections::{BTreeMap, BTreeSet};

use asyn::data::{Corpus, Encoder, Scheme, Sentence, Template, VocabularyOptions};
use serde::Serialize;

use super::data::{listed, percent};
use super::overlap::text_of;
use crate::failure::Failure;

/// A sentence of so many tokens is long.
const LONG: usize = 1000;
/// A sentence of so many tokens is long where it has many times those of the median.
const LONG_AMONG_SHORT: usize = 250;
/// How many times those are.
const TIMES_MEDIAN: usize = 10;
/// From which share on repeated sentences are named, in percent.
const REPEATED: f64 = 1.0;

/// The figures of one corpus.
#[derive(Debug, Serialize)]
pub(super) struct CorpusFindings {
    pub(super) file: String,
    sentences: usize,
    tokens: usize,
    columns: usize,
    labels: usize,
    labels_seen_once: Vec<Labelled>,
    /// The scheme that spells most sentences; nothing where labels are not those of chunks.
    scheme: Option<&'static str>,
    /// The sentences that it does not spell, by the scheme that does, or `none`.
    other_schemes: BTreeMap<&'static str, Sentences>,
    median_tokens: usize,
    long_sentences: Vec<Long>,
    /// The columns that hold one value throughout, the label aside.
    constant_columns: Vec<Constant>,
    constant_attributes: Vec<String>,
    /// Sentences that stand before in the same file, labels included.
    repeated_sentences: usize,
    /// Those that stand before with other labels.
    contradicted_sentences: usize,
}

/// A label and the line where it is.
#[derive(Debug, Serialize)]
struct Labelled {
    label: String,
    line: u64,
}

/// Some sentences, and the first line of the first of them.
#[derive(Debug, Serialize)]
struct Sentences {
    sentences: usize,
    line: u64,
}

#[derive(Debug, Serialize)]
struct Long {
    tokens: usize,
    line: u64,
}

/// A column, counted from 0 as in templates, and its value.
#[derive(Debug, Serialize)]
struct Constant {
    column: usize,
    value: String,
}

impl CorpusFindings {
    /// Looks at a corpus and at the attributes that `template` makes of it. Where the columns are
    /// no columns of the user's they are not looked at.
    pub(super) fn new(
        corpus: &Corpus,
        template: Template,
        has_columns: bool,
        threads: usize,
    ) -> Result<Self, Failure> {
        let mut labels: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for sentence in corpus.sentences() {
            for (token, label) in sentence.labels().enumerate() {
                labels.entry(label).or_insert((0, sentence.line(token))).0 += 1;
            }
        }
        let seen_once = labels.iter().filter(|(_, (count, _))| *count == 1);
        let seen_once =
            seen_once.map(|(label, &(_, line))| Labelled { label: (*label).into(), line });
        let mut seen_once: Vec<Labelled> = seen_once.collect();
        seen_once.sort_unstable_by_key(|one| one.line);
        let (scheme, other_schemes) = schemes(corpus).unzip();
        let mut lengths: Vec<usize> = corpus.sentences().map(|sentence| sentence.len()).collect();
        lengths.sort_unstable();
        let median = lengths[lengths.len() / 2];
        let least = (TIMES_MEDIAN * median).clamp(LONG_AMONG_SHORT, LONG);
        let is_long = |sentence: &Sentence<'_>| sentence.len() >= least;
        let long = corpus.sentences().filter(is_long);
        let long = long.map(|sentence| Long { tokens: sentence.len(), line: sentence.line(0) });
        let (repeated, contradicted) = repetitions(corpus);
        Ok(Self {
            file: corpus.name().to_owned(),
            sentences: corpus.n_sentences(),
            tokens: corpus.n_tokens(),
            columns: corpus.n_columns(),
            labels: labels.len(),
            labels_seen_once: seen_once,
            scheme: scheme.map(Scheme::name),
            other_schemes: other_schemes.unwrap_or_default(),
            median_tokens: median,
            long_sentences: long.collect(),
            constant_columns: if has_columns { constant_columns(corpus) } else { Vec::new() },
            constant_attributes: constant_attributes(corpus, template, threads)?,
            repeated_sentences: repeated,
            contradicted_sentences: contradicted,
        })
    }

    /// Returns the size of the corpus and what is odd, in sentences.
    pub(super) fn sentences(&self) -> Vec<String> {
        let file = &self.file;
        let mut lines = vec![format!(
            "{file}: {} sentences, {} tokens, {} columns, {} labels{}.",
            self.sentences,
            self.tokens,
            self.columns,
            self.labels,
            self.scheme.map_or(String::new(), |scheme| format!(" in {scheme}"))
        )];
        if let [first, ..] = &self.labels_seen_once[..] {
            let n = self.labels_seen_once.len();
            let all = self.labels_seen_once.iter();
            let all = listed(all.map(|one| format!("{} in line {}", one.label, one.line)));
            let s = if n == 1 { " occurs" } else { "s occur" };
            lines.push(format!(
                "{file}:{}: {n} label{s} once, which is hard to learn from or a slip: {all}.",
                first.line
            ));
        }
        if let Some(scheme) = self.scheme {
            for (other, Sentences { sentences, line }) in &self.other_schemes {
                let s = if *sentences == 1 { " is" } else { "s are" };
                lines.push(if *other == "none" {
                    format!(
                        "{file}:{line}: {sentences} sentence{s} spelt as no tag scheme does: asyn \
                         convert --scheme {scheme} repairs them."
                    )
                } else {
                    format!(
                        "{file}:{line}: {sentences} sentence{s} in {other}, the others in \
                         {scheme}: asyn convert --scheme {scheme} makes them one."
                    )
                });
            }
        }
        if let [first, ..] = &self.long_sentences[..] {
            let n = self.long_sentences.len();
            let most = self.long_sentences.iter().map(|long| long.tokens).max().unwrap_or(0);
            let s = if n == 1 { " is" } else { "s are" };
            lines.push(format!(
                "{file}:{}: {n} sentence{s} very long, up to {most} tokens where half of all have \
                 at most {}: is a blank line missing?",
                first.line, self.median_tokens
            ));
        }
        for Constant { column, value } in &self.constant_columns {
            lines.push(format!("{file}: column {column} is {value:?} throughout."));
        }
        if !self.constant_attributes.is_empty() {
            let n = self.constant_attributes.len();
            let s = if n == 1 { " is" } else { "s are" };
            let all = listed(self.constant_attributes.iter().cloned());
            lines.push(format!("{file}: {n} attribute{s} the same for every token: {all}."));
        }
        let repeated = percent(self.repeated_sentences, self.sentences);
        if repeated >= REPEATED {
            let n = self.repeated_sentences;
            let s = if n == 1 { " stands" } else { "s stand" };
            lines.push(format!(
                "{file}: {n} sentence{s} there before with the same labels ({repeated:.1} %)."
            ));
        }
        if self.contradicted_sentences > 0 {
            let n = self.contradicted_sentences;
            let s = if n == 1 { " stands" } else { "s stand" };
            lines.push(format!("{file}: {n} sentence{s} there before with other labels."));
        }
        lines
    }
}

/// Returns the scheme that spells most sentences, and the sentences that it does not spell; nothing
/// where a label is not that of a chunk.
fn schemes(corpus: &Corpus) -> Option<(Scheme, BTreeMap<&'static str, Sentences>)> {
    Scheme::of_corpus(corpus)?;
    let spells = |scheme: Scheme, sentence: &Sentence<'_>| {
        let labels = || sentence.labels().map(Some);
        let before = std::iter::once(None).chain(labels());
        before.zip(labels().chain([None])).all(|(last, next)| scheme.allows(last, next))
    };
    let count = |scheme: &Scheme| corpus.sentences().filter(|s| spells(*scheme, s)).count();
    // Of equals the earlier one, as everywhere.
    let scheme = Scheme::ALL.into_iter().rev().max_by_key(count)?;
    let mut others = BTreeMap::new();
    for sentence in corpus.sentences().filter(|sentence| !spells(scheme, sentence)) {
        let other = Scheme::ALL.into_iter().find(|&other| spells(other, &sentence));
        let name = other.map_or("none", Scheme::name);
        let first = Sentences { sentences: 0, line: sentence.line(0) };
        others.entry(name).or_insert(first).sentences += 1;
    }
    Some((scheme, others))
}

fn constant_columns(corpus: &Corpus) -> Vec<Constant> {
    let first = corpus.sentence(0);
    let is_constant = |column: &usize| {
        let value = first.column(0, *column);
        corpus
            .sentences()
            .all(|sentence| (0..sentence.len()).all(|t| sentence.column(t, *column) == value))
    };
    let columns = (0..corpus.n_columns() - 1).filter(is_constant);
    columns.map(|column| Constant { column, value: first.column(0, column).to_owned() }).collect()
}

/// Returns the attributes that every token has.
fn constant_attributes(
    corpus: &Corpus,
    template: Template,
    threads: usize,
) -> Result<Vec<String>, Failure> {
    let n_tokens = corpus.n_tokens();
    // What every token has occurs as often as there are tokens, so all else can be dropped at once.
    let min_freq = u32::try_from(n_tokens).unwrap_or(u32::MAX);
    let options = VocabularyOptions { min_freq, threads, ..VocabularyOptions::default() };
    let (encoder, examples) = Encoder::build(corpus, template, &options)?;
    let mut counts = vec![0_usize; encoder.n_attributes()];
    for example in &examples {
        for token in 0..example.n_tokens() {
            for same in example.attributes_of(token).chunk_by(|a, b| a == b) {
                counts[same[0] as usize] += 1;
            }
        }
    }
    let constant = (0_u32..).zip(counts).filter(|&(_, count)| count == n_tokens);
    Ok(constant.map(|(id, _)| encoder.attribute(id)).collect())
}

/// Returns how many sentences repeat an earlier one, with its labels and only with other ones.
fn repetitions(corpus: &Corpus) -> (usize, usize) {
    let (mut repeated, mut contradicted) = (0, 0);
    let mut seen: BTreeMap<String, BTreeSet<Vec<&str>>> = BTreeMap::new();
    for sentence in corpus.sentences() {
        let before = seen.entry(text_of(&sentence)).or_default();
        let labels: Vec<&str> = sentence.labels().collect();
        if before.contains(&labels) {
            repeated += 1;
        } else {
            contradicted += usize::from(!before.is_empty());
            before.insert(labels);
        }
    }
    (repeated, contradicted)
}
