//! `em-pos`: a hidden Markov model of 45 states, without labels.

use std::fs;
use std::path::{Path, PathBuf};

use asyn_report::statistics::{mean, median, standard_deviation};
use asyn_report::{Axis, Table};

use super::follow::{Follower, Way};
use super::line::{Line, Value};
use super::show::{against_one, by_time, number, spread};
use super::{Lab, Part, Study};
use crate::error::{Error, Result};
use crate::reproduce::experiment::Name;
use crate::reproduce::figures::range;
use crate::reproduce::{brown, corpus};

/// The sentences of a mini-batch.
const BATCH: u32 = 4;
/// The orders of sentences for each start.
const ORDERS: u32 = 2;
/// The sentences of the planted text.
const N_PLANTED: u32 = 3000;

const THOUSANDS: Value = |moment| Some(moment.log_likelihood? / 1e3);
const MANY_TO_ONE: Value = |moment| moment.score;
const V_MEASURE: Value = |moment| moment.v_measure;

/// Tagged text.
struct Text {
    name: &'static str,
    file: PathBuf,
    passes: u32,
    /// The most rounds of one worker and of batch EM: the text is long.
    most_rounds: usize,
}

pub(super) fn study(lab: &Lab<'_>) -> Result<Study> {
    let example = lab.program.example("em")?;
    let mut study = Study {
        name: Name::EmPos,
        title: "Parts of speech without labels",
        about: format!(
            "A hidden Markov model of 45 states on words, by stepwise EM with {BATCH} sentences a \
             mini-batch and steps (k + 2)^-0.7, and by batch EM. Each start, random counts in \
             proportion to exp(1 + a), runs with {ORDERS} orders of the sentences. States are the \
             most probable ones of each token in the text of training; many-to-one accuracy maps \
             each to its most frequent tag. Log-likelihoods are those of the whole text at weights \
             that stand still. In the source, which has 2.0 million parameters on the Wall Street \
             Journal, many-to-one accuracy is 50 to 65 % and that of batch EM at most 40.7 % after \
             six hours; Liang and Klein 2009 have 57.3 % by batch EM and 59.6 % by stepwise EM."
        ),
        lines: Vec::new(),
        parts: Vec::new(),
    };
    for text in texts(lab)? {
        let subject = vec!["hmm".to_owned(), text.file.display().to_string()];
        let follower = Follower { example: &example, folder: lab.folder, subject, text: text.name };
        let mut ways = vec![Way::batch(lab.most_threads(), 2 * text.passes)];
        ways.push(Way::serial(BATCH, text.passes));
        for threads in lab.threads() {
            ways.push(Way::synchronous(threads, BATCH, text.passes));
            ways.push(Way::asyngrad(threads, BATCH, text.passes));
        }
        let starts = 1..=lab.settings.n_seeds;
        let rounds: Vec<_> = (1..=ORDERS)
            .flat_map(|order| {
                starts.clone().map(move |start| vec![("--seed", order), ("--start-seed", start)])
            })
            .collect();
        // Batch EM does not depend on the order.
        let n_starts = rounds.len() / ORDERS as usize;
        let (lines, n_examples, n_tokens) =
            follower.lines(&ways, &rounds, |way, round| match way.workers {
                _ if way.update == "batch" => round < n_starts.min(text.most_rounds),
                1 => round < text.most_rounds,
                _ => true,
            })?;
        show(lab, &text, &lines, (n_examples, n_tokens), &mut study);
        study.lines.extend(lines);
    }
    Ok(study)
}

/// Returns the texts: those of the corpora, or a planted one.
fn texts(lab: &Lab<'_>) -> Result<Vec<Text>> {
    let Some(data) = lab.workspace.data() else {
        let whole = lab.folder.join("planted-columns.txt");
        lab.program.generate(N_PLANTED, 1, &whole)?;
        let file = lab.folder.join("planted-words.txt");
        let text = corpus::first_two_columns(&corpus::read(&whole)?);
        fs::write(&file, text).map_err(Error::file("write", &file))?;
        return Ok(vec![Text { name: "planted", file, passes: 5, most_rounds: 3 }]);
    };
    let ewt = data.join("ud-english-ewt/en_ewt-ud-train.conllu.gz");
    let file = lab.program.convert(&ewt, "conllu", &lab.folder.join("ewt-train.txt"))?;
    let name = "English Web Treebank";
    let mut texts = vec![Text { name, file, passes: 20, most_rounds: usize::MAX }];
    if !lab.is_quick() {
        let file = whole_brown(data, lab.folder)?;
        texts.push(Text { name: "Brown corpus", file, passes: 8, most_rounds: 2 });
    }
    Ok(texts)
}

/// Writes all of the Brown corpus, its tags reduced, into one file.
fn whole_brown(data: &Path, folder: &Path) -> Result<PathBuf> {
    let (train, test) = brown::prepare(&data.join(corpus::BROWN), folder)?;
    let text = corpus::read(&train)? + &corpus::read(&test)?;
    let path = folder.join("brown.txt");
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(path)
}

/// Adds tables and figures of a text.
fn show(
    lab: &Lab<'_>,
    text: &Text,
    lines: &[Line],
    (n_examples, n_tokens): (u32, u64),
    study: &mut Study,
) {
    study
        .parts
        .push(Part::Text(format!("{}: {n_examples} sentences, {n_tokens} tokens.", text.name)));
    study.parts.push(Part::Table(finals(lines, n_tokens)));
    study.parts.push(Part::Table(distribution(lines)));
    let Some(one) = lines.iter().find(|line| line.is_stepwise() && line.workers == 1) else {
        return;
    };
    let others: Vec<&Line> = lines.iter().filter(|it| it.is_stepwise() && it.workers > 1).collect();
    if !others.is_empty() {
        study
            .parts
            .push(Part::Text(format!("{}: times to a log-likelihood in thousands.", text.name)));
        study.parts.push(Part::Table(against_one(one, &others, THOUSANDS, 2)));
    }
    let panels: [(&str, Value); 3] = [
        ("log-likelihood (thousands)", THOUSANDS),
        ("many-to-one accuracy (%)", MANY_TO_ONE),
        ("V-measure (%)", V_MEASURE),
    ];
    for (label, value) in panels {
        let y = Axis::new(label);
        study.parts.push(Part::Figure(by_time(text.name, y, lines, value, lab.settings.n_cores)));
    }
}

/// Returns the table of what all have in the end.
fn finals(lines: &[Line], n_tokens: u64) -> Table {
    let header = [
        "strategy",
        "workers",
        "runs",
        "passes",
        "log-likelihood (thousands)",
        "many-to-one (%)",
        "V-measure (%)",
        "s a pass",
        "M tokens/s",
        "× one worker",
    ];
    let table =
        Table::new(header).note("Means and standard deviations over runs, after the last pass.");
    lines.iter().fold(table, |table, line| {
        let passes = line.runs.first().and_then(|run| Some(run.last()?.passes));
        let seconds = line.seconds_a_pass();
        let one = lines.iter().find(|one| line.is_sped_up(one));
        let over_one = one.and_then(|one| Some(one.seconds_a_pass()? / seconds?));
        #[allow(clippy::cast_precision_loss, reason = "tokens are far fewer than 2^53")]
        let speed = seconds.map(|seconds| n_tokens as f64 / 1e6 / seconds);
        table.row([
            line.name.to_owned(),
            line.workers.to_string(),
            line.runs.len().to_string(),
            number(passes, 0),
            spread(&line.last(THOUSANDS), 2),
            spread(&line.last(MANY_TO_ONE), 2),
            spread(&line.last(V_MEASURE), 2),
            number(seconds, 4),
            number(speed, 2),
            number(over_one, 2),
        ])
    })
}

/// Returns the table of how many-to-one accuracy is distributed over runs.
fn distribution(lines: &[Line]) -> Table {
    let header =
        ["many-to-one (%)", "workers", "least", "median", "mean", "deviation", "most", "best pass"];
    let note = "The best pass is the one at which the mean over runs is highest.";
    lines.iter().fold(Table::new(header).note(note), |table, line| {
        let last = line.last(MANY_TO_ONE);
        let (least, most) = range(last.iter().copied());
        let means = line.curve(MANY_TO_ONE).into_iter().enumerate();
        let best = means.max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
        table.row([
            line.name.to_owned(),
            line.workers.to_string(),
            number(Some(least), 2),
            number(median(&last), 2),
            number(mean(&last), 2),
            number(standard_deviation(&last), 2),
            number(Some(most), 2),
            best.map_or_else(|| "–".to_owned(), |(pass, (_, mean))| format!("{pass} ({mean:.2})")),
        ])
    })
}
