//! The hidden Markov model of a planted language: drawing from it and decoding with it.
//!
//! Weights of transitions are whole numbers, made once from the grammar by
//! integer division; what they come to is the true model, in drawing and in
//! decoding alike.

use std::fmt::Write;

use super::grammar::{Grammar, Row};
use super::lexicon::Lexicon;
use crate::corpus::Sentence;
use crate::random::Random;

/// The tag, and the only word, of the last token of every sentence.
const FULL_STOP: &str = ".";
/// What "a chunk ends here" is called in the grammar.
const END: &str = "end";
/// The type of tokens outside of chunks, and their label.
const OUTSIDE: &str = "O";
/// The factor that keeps fractions of weights apart; products stay below 2^64.
const SCALE: u64 = 1 << 24;

/// A hidden Markov model whose states are pairs of a label and a tag.
#[derive(Debug, Clone)]
pub(super) struct Language {
    tags: Vec<String>,
    states: Vec<State>,
    start: Choice,
    /// The next state, for each state.
    next: Vec<Choice>,
    lexicon: Lexicon,
    /// The states of each tag.
    states_of: Vec<Vec<usize>>,
    /// Logs of probabilities, `n_states × n_states`; the full stop may follow every state.
    log_next: Vec<Vec<f64>>,
    log_start: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    kind: String,
    label: String,
    tag: usize,
}

/// A weighted choice among all states.
#[derive(Debug, Clone)]
struct Choice {
    cumulative: Vec<u64>,
}

impl Language {
    pub(super) fn new(grammar: &Grammar) -> Self {
        let tags: Vec<String> = grammar.words.iter().map(|words| words.tag.clone()).collect();
        let states = states(grammar, &tags);
        let states_of: Vec<Vec<usize>> = (0..tags.len())
            .map(|tag| (0..states.len()).filter(|&state| states[state].tag == tag).collect())
            .collect();
        let n_states_of: Vec<usize> = states_of.iter().map(Vec::len).collect();
        let find = |label: &str, tag: &str| {
            let found = states.iter().position(|s| s.label == label && tags[s.tag] == tag);
            found.expect("every label and tag of the grammar is a state")
        };
        let begin = |weights: &mut [u64], kinds: &Row, weight: u64| {
            for (kind, kind_weight) in kinds {
                let firsts = &grammar.begins[kind];
                for (tag, tag_weight) in firsts {
                    let state = find(&label(kind, true), tag);
                    weights[state] +=
                        weight * kind_weight * tag_weight / (total(kinds) * total(firsts));
                }
            }
        };
        let mut start = vec![0; states.len()];
        begin(&mut start, &grammar.start, SCALE);
        let next: Vec<Vec<u64>> = states
            .iter()
            .map(|state| {
                let mut weights = vec![0; states.len()];
                let inside = grammar.inside.get(&(state.kind.clone(), tags[state.tag].clone()));
                for (tag, weight) in inside.into_iter().flatten() {
                    if tag == END {
                        begin(&mut weights, &grammar.after[&state.kind], SCALE * weight);
                    } else {
                        weights[find(&label(&state.kind, false), tag)] += SCALE * weight;
                    }
                }
                // Only the full stop has no row: behind it, a sentence begins.
                if inside.is_none() { start.clone() } else { weights }
            })
            .collect();
        let log_next = next.iter().map(|weights| log_probabilities(weights, &states)).collect();
        Self {
            log_start: log_probabilities(&start, &states),
            log_next,
            lexicon: Lexicon::new(&grammar.words, &n_states_of),
            start: Choice::new(start),
            next: next.into_iter().map(Choice::new).collect(),
            states_of,
            states,
            tags,
        }
    }

    /// Draws a sentence and appends it to `text`.
    pub(super) fn write_sentence(&self, random: &mut Random, text: &mut String) {
        let mut n_tokens = 1;
        let mut n_successes = 0;
        while n_successes < 4 {
            if random.below(32) < 5 {
                n_successes += 1;
            } else {
                n_tokens += 1;
            }
        }
        let mut choice = &self.start;
        for _ in 0..n_tokens {
            let state = choice.draw(random);
            self.write_token(state, random, text);
            choice = &self.next[state];
        }
        let full_stop = self.states.len() - 1;
        self.write_token(full_stop, random, text);
        text.push('\n');
    }

    fn write_token(&self, state: usize, random: &mut Random, text: &mut String) {
        let State { label, tag, .. } = &self.states[state];
        let word = self.lexicon.draw(*tag, self.among_tag(state), random);
        let tag = &self.tags[*tag];
        writeln!(text, "{word} {tag} {label}").expect("a string takes everything");
    }

    /// Returns the most probable labels of a sentence (Viterbi).
    pub(super) fn decode(&self, sentence: &Sentence<'_>) -> Vec<&str> {
        let all: Vec<usize> = (0..self.states.len()).collect();
        let mut last: Vec<(usize, f64)> = Vec::new();
        // For each token: the states it can have, and for each of them its best predecessor.
        let mut chart: Vec<(&[usize], Vec<usize>)> = Vec::new();
        for token in 0..sentence.len() {
            let tag = self.tags.iter().position(|tag| tag == sentence.column(token, 1));
            let states = tag.map_or(&all, |tag| &self.states_of[tag]);
            let word = sentence.column(token, 0);
            let mut came_from = Vec::new();
            let scored = states.iter().map(|&state| {
                let tag = self.states[state].tag;
                let emitted = self.lexicon.log_probability(tag, self.among_tag(state), word);
                let mut best = (0, f64::NEG_INFINITY);
                for (idx, &(other, score)) in last.iter().enumerate() {
                    let score = score + self.log_next[other][state];
                    if score > best.1 {
                        best = (idx, score);
                    }
                }
                if token == 0 {
                    best.1 = self.log_start[state];
                }
                came_from.push(best.0);
                (state, best.1 + emitted.unwrap_or(0.0))
            });
            last = scored.collect();
            chart.push((states, came_from));
        }
        let best =
            (0..last.len()).reduce(|best, idx| if last[idx].1 > last[best].1 { idx } else { best });
        let mut at = best.unwrap_or(0);
        let mut labels = Vec::with_capacity(sentence.len());
        for (states, came_from) in chart.iter().rev() {
            labels.push(self.states[states[at]].label.as_str());
            at = came_from[at];
        }
        labels.reverse();
        labels
    }

    /// Returns the index of a state among the states of its tag.
    fn among_tag(&self, state: usize) -> usize {
        let siblings = &self.states_of[self.states[state].tag];
        siblings.partition_point(|&sibling| sibling < state)
    }
}

impl Choice {
    fn new(weights: Vec<u64>) -> Self {
        let cumulative = weights.iter().scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { cumulative: cumulative.collect() }
    }

    fn draw(&self, random: &mut Random) -> usize {
        let drawn = random.below(self.cumulative[self.cumulative.len() - 1]);
        self.cumulative.partition_point(|&upto| upto <= drawn)
    }
}

/// Returns the states of a grammar, the full stop last.
fn states(grammar: &Grammar, tags: &[String]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    let mut add = |kind: &str, is_first: bool, tag: &str| {
        let tag = tags.iter().position(|other| other == tag).expect("every tag has words");
        let state = State { kind: kind.to_owned(), label: label(kind, is_first), tag };
        if !states.contains(&state) {
            states.push(state);
        }
    };
    for (kind, row) in &grammar.begins {
        for (tag, _) in row {
            add(kind, true, tag);
        }
    }
    for ((kind, _), row) in &grammar.inside {
        for (tag, _) in row.iter().filter(|(tag, _)| tag != END) {
            add(kind, false, tag);
        }
    }
    add(OUTSIDE, true, FULL_STOP);
    states
}

fn label(kind: &str, is_first: bool) -> String {
    match (kind, is_first) {
        (OUTSIDE, _) => OUTSIDE.to_owned(),
        (_, true) => format!("B-{kind}"),
        (_, false) => format!("I-{kind}"),
    }
}

fn total(row: &Row) -> u64 {
    row.iter().map(|(_, weight)| weight).sum()
}

fn log_probabilities(weights: &[u64], states: &[State]) -> Vec<f64> {
    let total = weights.iter().sum::<u64>() as f64;
    let mut logs: Vec<f64> = weights.iter().map(|&weight| (weight as f64 / total).ln()).collect();
    // Where a sentence stops does not depend on its states.
    logs[states.len() - 1] = 0.0;
    logs
}
