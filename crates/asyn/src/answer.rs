//! What a model says of a sentence, as `asyn tag` prints it.
//!
//! ```text
//! # 0 0.912345                         with --nbest: the number of the sequence, its probability
//! # score 12.345678, probability 0.9…  with --explain: of the sequence
//! word POS B-NP 0.9921                 the columns, the label; with --marginals its probability, with
//!                                      --span-marginals that of the span it is in
//! # +2.345678 U05:word                 with --explain: the weights of the label, the largest first
//! ```

use std::io::{self, Write};
use std::num::NonZeroUsize;

use asyn::Labeller;
use asyn::data::spans::SpanLabels;
use asyn::data::{Corpus, Encoder, Error, Grammar, Sentence, UNKNOWN_LABEL};
use asyn::models::{Constraints, Contribution, Lattice, Sequence, Source};

use crate::failure::Failure;

/// What is asked of a model.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Whether the probability of each label is asked for.
    pub(crate) marginals: bool,
    /// Whether the probability of each span is asked for.
    pub(crate) span_marginals: bool,
    /// How many sequences are asked for, if more than the best is of interest.
    pub(crate) n_best: Option<NonZeroUsize>,
    /// Whether the weights behind each label are asked for.
    pub(crate) explain: bool,
    /// Which sequences are allowed.
    pub(crate) grammar: Option<Grammar>,
    /// Whether no others are, even where it allows none for a sentence.
    pub(crate) insists: bool,
    /// Whether the last column of the input says which labels a token may have.
    pub(crate) constraints: bool,
}

/// Where a corpus comes from, and what of it is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    /// What errors call the file.
    pub(crate) name: &'a str,
    /// The line of the file behind which the corpus begins.
    pub(crate) line: u64,
    /// The first column that is printed.
    pub(crate) first: usize,
}

/// Answers a question about sentence after sentence.
#[derive(Debug)]
pub(crate) struct Answerer<'a, 't> {
    encoder: &'a Encoder,
    labeller: &'a mut Labeller<'t>,
    spans: SpanLabels,
    question: &'a Question,
    input: Input<'a>,
    /// `T × Y`: the labels that the last column allows.
    allowed: Vec<bool>,
    /// The labels of a sentence as they are written.
    written: Vec<u16>,
    /// Their probabilities, where they are asked for.
    confidences: Vec<f32>,
}

impl Question {
    /// Returns whether the grammar is left aside where it allows nothing.
    fn gives_way(&self) -> bool {
        self.grammar.is_some() && !self.insists
    }

    /// Refuses the labels of a model that gives way by itself, where the grammar may not.
    fn check(
        &self,
        labels: &[u16],
        input: Input<'_>,
        sentence: &Sentence<'_>,
    ) -> Result<(), Failure> {
        match &self.grammar {
            Some(grammar) if self.insists && !grammar.allows(labels) => {
                Err(impossible(input, sentence))
            }
            _ => Ok(()),
        }
    }
}

impl<'a, 't> Answerer<'a, 't> {
    pub(crate) fn new(
        encoder: &'a Encoder,
        labeller: &'a mut Labeller<'t>,
        question: &'a Question,
        input: Input<'a>,
    ) -> Self {
        let spans = SpanLabels::new(encoder.labels());
        Self {
            encoder,
            labeller,
            spans,
            question,
            input,
            allowed: Vec::new(),
            written: Vec::new(),
            confidences: Vec::new(),
        }
    }

    /// Prints all sentences of a corpus with their labels, and a blank line behind each.
    pub(crate) fn print(&mut self, corpus: &Corpus, out: &mut Vec<u8>) -> Result<(), Failure> {
        // All columns but the label, and the constraints.
        let (expected, actual) = (self.encoder.n_columns(), corpus.n_columns());
        if self.question.constraints && actual < expected {
            let name = self.input.name.to_owned();
            return Err(Error::Columns { name, expected, actual }.into());
        }
        let mut separator = [0; 4];
        let separator = corpus.separator().encode_utf8(&mut separator).as_bytes();
        if !self.labeller.has_lattice() {
            let labels = self.encoder.written_labels();
            for (sentence, found) in corpus.sentences().zip(self.labeller.label_all(corpus)) {
                self.question.check(found, self.input, &sentence)?;
                self.encoder.spell(found, &mut self.written);
                let tokens =
                    Tokens { sentence: &sentence, first: self.input.first, labels, separator };
                tokens.write_all(&self.written, &[], out);
            }
            return Ok(());
        }
        corpus.sentences().try_for_each(|sentence| self.print_sentence(&sentence, separator, out))
    }

    fn print_sentence(
        &mut self,
        sentence: &Sentence<'_>,
        separator: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let labels = self.encoder.written_labels();
        let tokens = Tokens { sentence, first: self.input.first, labels, separator };
        let Question { n_best, explain, span_marginals, .. } = *self.question;
        if n_best.is_some() || explain || span_marginals {
            return self.print_sequences(&tokens, out);
        }
        self.label(sentence)?;
        tokens.write_all(&self.written, &self.confidences, out);
        Ok(())
    }

    /// Returns the labels of all sentences of a corpus as they are written.
    pub(crate) fn labels(&mut self, corpus: &Corpus) -> Result<Vec<String>, Failure> {
        let labels = self.encoder.written_labels();
        let mut all = Vec::with_capacity(corpus.n_tokens());
        if !self.labeller.has_lattice() {
            for (sentence, found) in corpus.sentences().zip(self.labeller.label_all(corpus)) {
                self.question.check(found, self.input, &sentence)?;
                self.encoder.spell(found, &mut self.written);
                all.extend(self.written.iter().map(|&label| labels[usize::from(label)].clone()));
            }
            return Ok(all);
        }
        for sentence in corpus.sentences() {
            self.label(&sentence)?;
            all.extend(self.written.iter().map(|&label| labels[usize::from(label)].clone()));
        }
        Ok(all)
    }

    /// Finds the labels of a sentence, as they are written, and their probabilities if they are asked
    /// for.
    fn label(&mut self, sentence: &Sentence<'_>) -> Result<(), Failure> {
        self.read_allowed(sentence)?;
        let grammar = self.question.grammar.as_ref();
        let is_found = self.label_within(sentence, grammar)
            || (self.question.gives_way() && self.label_within(sentence, None));
        if is_found { Ok(()) } else { Err(impossible(self.input, sentence)) }
    }

    /// Does so with a grammar, and returns whether it allows anything.
    fn label_within(&mut self, sentence: &Sentence<'_>, grammar: Option<&Grammar>) -> bool {
        let Self { encoder, labeller, question, allowed, written, confidences, .. } = self;
        let constraints = Constraints { grammar, allowed };
        confidences.clear();
        let found = if question.marginals {
            let found = labeller.label_with_confidence(sentence, constraints);
            found.map(|(labels, of_labels)| {
                confidences.extend_from_slice(of_labels);
                labels
            })
        } else {
            labeller.label_within(sentence, constraints)
        };
        found.is_some_and(|labels| {
            encoder.spell(labels, written);
            true
        })
    }

    /// Prints all that the lattice of a sentence is needed for.
    fn print_sequences(&mut self, tokens: &Tokens<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.read_allowed(tokens.sentence)?;
        let Self { encoder, labeller, spans, question, allowed, written, .. } = self;
        let constraints = Constraints { grammar: question.grammar.as_ref(), allowed };
        let mut lattice = labeller.lattice(tokens.sentence, constraints);
        if !lattice.is_possible() && question.gives_way() {
            let constraints = Constraints { grammar: None, allowed };
            lattice = labeller.lattice(tokens.sentence, constraints);
        }
        let n_best = question.n_best.map_or(1, NonZeroUsize::get);
        let answers: Vec<(Sequence, Vec<f64>)> = lattice
            .best_first()
            .take(n_best)
            .map(|sequence| {
                let mut confidences = label_probabilities(lattice, &sequence.labels);
                if question.span_marginals {
                    fill_span_probabilities(lattice, spans, &sequence.labels, &mut confidences);
                }
                (sequence, confidences)
            })
            .collect();
        if answers.is_empty() {
            return Err(impossible(self.input, tokens.sentence));
        }
        for (rank, (sequence, confidences)) in answers.iter().enumerate() {
            let Sequence { labels, score, probability } = sequence;
            if question.n_best.is_some() {
                writeln!(out, "# {rank} {probability:.6}").expect(MEMORY);
            }
            let mut reasons = Vec::new();
            if question.explain {
                writeln!(out, "# score {score:.6}, probability {probability:.6}").expect(MEMORY);
                reasons = labeller.explain(tokens.sentence, labels);
            }
            encoder.spell(labels, written);
            for (token, (&label, &spelt)) in labels.iter().zip(&*written).enumerate() {
                let is_asked = question.marginals || question.span_marginals;
                let confidence = is_asked.then(|| confidences[token]);
                tokens.write(token, spelt, confidence, out).expect(MEMORY);
                let previous = token.checked_sub(1).map(|previous| labels[previous]);
                for reason in reasons.get(token).into_iter().flatten() {
                    write_reason(encoder, reason, previous, label, out).expect(MEMORY);
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }

    /// Reads which labels the last column allows.
    fn read_allowed(&mut self, sentence: &Sentence<'_>) -> Result<(), Failure> {
        self.allowed.clear();
        if !self.question.constraints {
            return Ok(());
        }
        let n_labels = self.encoder.labels().len();
        for (token, cell) in sentence.labels().enumerate() {
            let start = self.allowed.len();
            self.allowed.resize(start + n_labels, cell == "*");
            for label in cell.split('|').filter(|_| cell != "*") {
                let written = self.encoder.written_id(label);
                if written == UNKNOWN_LABEL {
                    let Input { name, line, .. } = self.input;
                    let line = line + sentence.line(token);
                    return Err(Failure::Data(format!(
                        "{name}:{line}: the constraint {cell:?} names {label:?}, which is no label of the model"
                    )));
                }
                for (label, allowed) in (0..).zip(&mut self.allowed[start..]) {
                    *allowed |= self.encoder.may_be_written(label, written);
                }
            }
        }
        Ok(())
    }
}

/// Why writing cannot fail.
pub(crate) const MEMORY: &str = "memory takes whatever is written";

/// How the tokens of a sentence are written.
struct Tokens<'a> {
    sentence: &'a Sentence<'a>,
    /// The first column that is written.
    first: usize,
    labels: &'a [String],
    separator: &'a [u8],
}

impl Tokens<'_> {
    /// Writes all tokens, with the probabilities that there are.
    fn write_all(&self, labels: &[u16], confidences: &[f32], out: &mut Vec<u8>) {
        for (token, &label) in labels.iter().enumerate() {
            let confidence = confidences.get(token).copied().map(f64::from);
            self.write(token, label, confidence, out).expect(MEMORY);
        }
        out.push(b'\n');
    }

    fn write(
        &self,
        token: usize,
        label: u16,
        confidence: Option<f64>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        for cell in self.sentence.token(token).skip(self.first) {
            out.extend_from_slice(cell.as_bytes());
            out.extend_from_slice(self.separator);
        }
        out.extend_from_slice(self.labels[usize::from(label)].as_bytes());
        if let Some(confidence) = confidence {
            out.extend_from_slice(self.separator);
            write!(out, "{confidence:.4}")?;
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Returns the probability of each label.
fn label_probabilities(lattice: &Lattice, labels: &[u16]) -> Vec<f64> {
    let tokens = labels.iter().enumerate();
    tokens.map(|(token, &label)| lattice.label_probability(token, label)).collect()
}

/// Replaces the probabilities of labels in spans by those of their spans.
fn fill_span_probabilities(
    lattice: &Lattice,
    spans: &SpanLabels,
    labels: &[u16],
    probabilities: &mut [f64],
) {
    let label = |token: usize| usize::from(labels[token]);
    let mut start = 0;
    for end in 1..=labels.len() {
        if end < labels.len() && spans.joins(label(end - 1), label(end)) {
            continue;
        }
        if let Some(kind) = spans.kind(label(start)) {
            let probability = lattice.span_probability(spans, start..end, kind);
            probabilities[start..end].fill(probability);
        }
        start = end;
    }
}

/// Writes a weight and what it is of.
fn write_reason(
    encoder: &Encoder,
    reason: &Contribution,
    previous: Option<u16>,
    label: u16,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let name = |label: u16| encoder.labels()[usize::from(label)].as_str();
    write!(out, "# {:+.6} ", reason.weight)?;
    if let Source::Attribute(attribute) | Source::RichTransition(attribute) = reason.source {
        out.extend_from_slice(encoder.attribute(attribute).as_bytes());
    }
    match (reason.source, previous) {
        (Source::Attribute(_), _) | (_, None) => {}
        (Source::RichTransition(_), Some(previous)) => {
            write!(out, " {} {}", name(previous), name(label))?;
        }
        (Source::Transition, Some(previous)) => {
            write!(out, "{} {}", name(previous), name(label))?;
        }
    }
    out.push(b'\n');
    Ok(())
}

fn impossible(input: Input<'_>, sentence: &Sentence<'_>) -> Failure {
    let (name, line) = (input.name, input.line + sentence.line(0));
    Failure::Data(format!("{name}:{line}: no sequence of labels is allowed for this sentence"))
}
