//! What a user waits for: from a text file to a saved model, and from text to
//! tagged text, with the defaults of the command and all cores.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use asyn_report::Table;
use asyn_report::statistics::median;
use serde::Serialize;

use super::experiment::Experiment;
use super::program::Program;
use crate::error::{Error, Result};

/// How often each is repeated; the median counts.
const N_REPEATS: usize = 5;
/// How many times the test file is tagged in one go, so that it takes a while.
const N_COPIES: usize = 10;

/// Medians over the repetitions.
#[derive(Debug, Serialize)]
pub(super) struct EndToEnd {
    experiment: &'static str,
    threads: u32,
    /// From the start of the program to its end, reading and saving included.
    train_seconds: Option<f64>,
    /// The part of it that is training.
    training_clock_seconds: Option<f64>,
    /// The most of all repetitions.
    train_memory_bytes: Option<u64>,
    /// Of the model on the test file.
    /// `None` where the model knows only some of the labels in the test file.
    score: Option<f64>,
    tag_tokens_per_second: Option<f64>,
    load_seconds: Option<f64>,
}

/// Trains and tags as a user would.
pub(super) fn measure(
    program: &Program<'_>,
    experiment: &Experiment,
    threads: u32,
    folder: &Path,
) -> Result<EndToEnd> {
    let model = folder.join("end-to-end.safetensors");
    let flags = experiment.flags.iter();
    let mut arguments: Vec<String> =
        iter::once(&experiment.model.argument()).chain(flags).map(|&it| it.to_owned()).collect();
    arguments.extend(["--threads".to_owned(), threads.to_string()]);
    arguments.extend(["--train".to_owned(), experiment.train.display().to_string()]);
    let (mut seconds, mut clocks, mut memory) = (Vec::new(), Vec::new(), None);
    for repeat in 1..=N_REPEATS {
        eprintln!("  from text to a saved model, {repeat} of {N_REPEATS}");
        let trained = program.train(&arguments, &model)?;
        seconds.push(trained.seconds);
        if let Some(end) = trained.run.end {
            clocks.push(end.total_train_seconds);
            memory = memory.max(end.peak_memory_bytes);
        }
    }

    let tagged = folder.join("tagged.txt");
    program.tag(&model, &experiment.test, threads, &tagged)?;
    let knows_all = !experiment.flags.contains(&"--only-type");
    let score = if knows_all { Some(program.score(experiment.scorer, &tagged)?) } else { None };
    let many = copies(&experiment.test, folder)?;
    let (mut speeds, mut loads) = (Vec::new(), Vec::new());
    for repeat in 1..=N_REPEATS {
        eprintln!("  from text to tagged text, {repeat} of {N_REPEATS}");
        let timed = program.tag(&model, &many, threads, &tagged)?;
        speeds.extend(timed.tokens_per_second);
        loads.extend(timed.load_seconds);
    }
    Ok(EndToEnd {
        experiment: experiment.title,
        threads,
        train_seconds: median(&seconds),
        training_clock_seconds: median(&clocks),
        train_memory_bytes: memory,
        score,
        tag_tokens_per_second: median(&speeds),
        load_seconds: median(&loads),
    })
}

/// Writes `file` several times over into one file.
fn copies(file: &Path, folder: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(file).map_err(Error::file("read", file))?;
    let many = folder.join("test-copies.txt");
    // A sentence may not go on into the next copy.
    let copy = format!("{}\n\n", text.trim_end());
    fs::write(&many, copy.repeat(N_COPIES)).map_err(Error::file("write", &many))?;
    Ok(many)
}

/// Returns the table of `measured`.
pub(super) fn table(measured: &EndToEnd) -> Table {
    let number = |value: Option<f64>, n_digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
    };
    let memory = measured.train_memory_bytes.map(|bytes| bytes.div_ceil(1_000_000).to_string());
    Table::new(["asyn with its defaults", "value"])
        .row(["from a text file to a saved model (s)".to_owned(), number(measured.train_seconds, 2)])
        .row(["of it training (s)".to_owned(), number(measured.training_clock_seconds, 2)])
        .row(["peak memory of training (MB)", &memory.unwrap_or_else(|| "–".to_owned())])
        .row(["score on the test file (%)".to_owned(), number(measured.score, 2)])
        .row(["loading the model (s)".to_owned(), number(measured.load_seconds, 3)])
        .row([
            "tagging, text to text (million tokens/s)".to_owned(),
            number(measured.tag_tokens_per_second.map(|speed| speed / 1e6), 2),
        ])
        .note(format!(
            "{}, {} threads; medians of {N_REPEATS}. Tagged is the test file {N_COPIES} times over; \
             loading the model is not in the speed.",
            measured.experiment, measured.threads
        ))
}
