//! The Bi-LSTM beside torch: the same tagger of words, trained by Adam with the same numbers.
//!
//! The network is one bidirectional layer as wide as the vectors of words, and a softmax. torch
//! gets the first 500 sentences of the training text and the vocabulary of all of it, since its
//! dense updates cost what the vocabulary is long, and `asyn` a pass over the whole text, both
//! with the word in lower case as the only column. The speed of torch is that of the median of
//! three passes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use asyn_report::Table;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reproduce::corpus;
use crate::reproduce::host::Host;
use crate::reproduce::program::Program;
use crate::workspace::{DATA_VARIABLE, Workspace, output};

/// What is installed from the Python package index.
pub(super) const TORCH: &str = "torch==2.15.0";
/// The program that drives torch.
const SCRIPT: &str = include_str!("bilstm.py");
/// The template of `asyn`: the word in lower case alone.
const TEMPLATE: &str = "U0:%lower[0,0]\n";
/// The lengths of the vectors of words, and the units of each direction.
const UNITS: [u32; 2] = [170, 280];
/// What torch is asked for: sentences a step, how gradients of vectors are kept, processes.
const RUNS: [(u32, &str, u32); 5] =
    [(1, "sparse", 1), (1, "sparse", 2), (1, "dense", 1), (8, "sparse", 1), (8, "dense", 1)];
/// What `asyn` is asked for: sentences a step, threads.
const OURS: [(u32, u32); 4] = [(1, 1), (1, 2), (8, 1), (8, 2)];

/// The text that all train on, and the rows of the table.
#[derive(Debug, Serialize)]
pub(super) struct Networks {
    pub(super) about: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    units: u32,
    /// Sentences a step.
    batch: u32,
    /// Threads of `asyn`, processes of torch.
    workers: u32,
    tokens_per_second: f64,
    tag_tokens_per_second: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

/// What the script answers.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    tokens_per_second: f64,
    tag_tokens_per_second: f64,
    peak_memory_bytes: u64,
}

/// What is needed to train both.
pub(super) struct Bench<'b> {
    pub(super) workspace: &'b Workspace,
    pub(super) program: &'b Program<'b>,
    /// The Python that has torch, if there is one.
    pub(super) python: Option<&'b Path>,
    pub(super) out: &'b Path,
    pub(super) n_cores: u32,
}

impl Bench<'_> {
    /// Trains and tags with both, with every setting.
    pub(super) fn compare(&self) -> Result<(Networks, Host)> {
        let (about, files) = self.files()?;
        let (mut rows, mut host) = (Vec::new(), None);
        for units in UNITS {
            for (batch, threads) in OURS.into_iter().filter(|&(_, n)| n <= self.n_cores) {
                let (row, measured_on) = self.asyn(&files, units, batch, threads)?;
                rows.push(row);
                host = Some(measured_on);
            }
            let Some(python) = self.python else {
                continue;
            };
            for run in RUNS.into_iter().filter(|&(_, _, n)| n <= self.n_cores) {
                rows.push(self.torch(python, &files, units, run)?);
            }
        }
        let host = host.ok_or(Error::Incomplete { name: "asyn".to_owned(), lacks: "run" })?;
        Ok((Networks { about, rows }, host))
    }

    /// Returns what the text is, and its files.
    fn files(&self) -> Result<(&'static str, [PathBuf; 2])> {
        match self.workspace.data() {
            Some(data) => {
                let (train, test) = corpus::parts_of_speech(data, self.out)?;
                Ok(("CoNLL-2000, parts of speech by a Bi-LSTM, words alone", [train, test]))
            }
            None => {
                eprintln!("{DATA_VARIABLE} is not set: a planted corpus stands in for CoNLL-2000");
                let files = ["train", "test"];
                let files = files.map(|part| self.out.join(format!("planted-{part}.txt")));
                self.program.generate(9000, 1, &files[0])?;
                self.program.generate(2000, 2, &files[1])?;
                Ok(("a planted corpus of the size of CoNLL-2000, words alone", files))
            }
        }
    }

    fn asyn(
        &self,
        [train, test]: &[PathBuf; 2],
        units: u32,
        batch: u32,
        threads: u32,
    ) -> Result<(Row, Host)> {
        eprintln!("asyn, {units} units, {batch} sentences a step, {threads} threads");
        let template = self.out.join("lower.template");
        fs::write(&template, TEMPLATE).map_err(Error::file("write", &template))?;
        let flags = [("width", units), ("hidden", units), ("accumulate", batch)];
        let mut arguments = vec!["bilstm".to_owned()];
        for (flag, value) in flags.into_iter().chain([("threads", threads), ("passes", 1)]) {
            arguments.extend([format!("--{flag}"), value.to_string()]);
        }
        for (flag, file) in [("--template", &template), ("--train", train)] {
            arguments.extend([flag.to_owned(), file.display().to_string()]);
        }
        let model = self.out.join("asyn-bilstm.safetensors");
        let trained = self.program.train(&arguments, &model)?;
        let tagged = self.program.tag(&model, test, threads, &self.out.join("asyn-tagged.txt"))?;
        let incomplete = || Error::Incomplete { name: "asyn".to_owned(), lacks: "pass" };
        let row = Row {
            name: "asyn".to_owned(),
            units,
            batch,
            workers: threads,
            tokens_per_second: trained.run.tokens_per_second().ok_or_else(incomplete)?,
            tag_tokens_per_second: tagged.tokens_per_second,
            peak_memory_bytes: trained.run.end.as_ref().and_then(|end| end.peak_memory_bytes),
        };
        Ok((row, Host::new(self.workspace, &trained.run, "cargo xtask peers --only lstm")))
    }

    fn torch(
        &self,
        python: &Path,
        files: &[PathBuf; 2],
        units: u32,
        (batch, embeddings, processes): (u32, &str, u32),
    ) -> Result<Row> {
        eprintln!(
            "torch, {units} units, {batch} sentences a step, {embeddings}, {processes} processes"
        );
        let mut command = self.workspace.command(python);
        // It has no need of numpy, and would complain at the lack of it.
        command
            .args(["-W", "ignore", "-c", SCRIPT])
            .args(files)
            .args([units, batch].map(|it| it.to_string()));
        command.arg(embeddings).arg(processes.to_string());
        let answer = output(command.stderr(Stdio::inherit()))?;
        let answer: Answer = serde_json::from_str(&answer)
            .map_err(|source| Error::Answer { command: "bilstm.py".to_owned(), source })?;
        let one = processes == 1;
        Ok(Row {
            name: format!("torch {}, {embeddings}", answer.version),
            units,
            batch,
            workers: processes,
            tokens_per_second: answer.tokens_per_second,
            tag_tokens_per_second: one.then_some(answer.tag_tokens_per_second),
            // That of one of several processes would say little.
            peak_memory_bytes: one.then_some(answer.peak_memory_bytes),
        })
    }
}

/// Returns the table of both.
pub(super) fn table(networks: &Networks) -> Table {
    let header = [
        "program",
        "units",
        "sentences a step",
        "workers",
        "thousand tokens/s, training",
        "times one worker",
        "asyn is faster, times",
        "thousand tokens/s, tagging",
        "peak MB",
    ];
    let number = |value: Option<f64>, n_digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
    };
    let rows = &networks.rows;
    let speed = |name: &str, like: &Row, workers: u32| {
        let is_like = |row: &&Row| (row.units, row.batch) == (like.units, like.batch);
        let mut found = rows.iter().filter(is_like);
        let row = found.find(|row| row.name == name && row.workers == workers)?;
        Some(row.tokens_per_second)
    };
    let table = rows.iter().fold(Table::new(header), |table, row| {
        let own = row.tokens_per_second;
        let ours = speed("asyn", row, row.workers).filter(|_| row.name != "asyn");
        let one = speed(&row.name, row, 1).filter(|_| row.workers > 1);
        table.row([
            row.name.clone(),
            row.units.to_string(),
            row.batch.to_string(),
            row.workers.to_string(),
            number(Some(own / 1e3), 1),
            number(one.map(|one| own / one), 2),
            number(ours.map(|ours| ours / own), 1),
            number(row.tag_tokens_per_second.map(|speed| speed / 1e3), 0),
            row.peak_memory_bytes
                .map_or_else(|| "–".to_owned(), |bytes| bytes.div_ceil(1_000_000).to_string()),
        ])
    });
    table.note(
        "Adam with 0.95, 0.95 and 1e-4, vectors and output layer included. Workers: threads of \
         AsynGrad, processes of HogWild. Sparse: gradients of the vectors that a step uses, and \
         SparseAdam. Tagging: asyn from text to text, torch at 32 sentences of like length with \
         ids ready.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_compared_with_the_same_units_sentences_and_workers() {
        let row = |name: &str, batch, workers, tokens_per_second| Row {
            name: name.to_owned(),
            units: 170,
            batch,
            workers,
            tokens_per_second,
            tag_tokens_per_second: None,
            peak_memory_bytes: None,
        };
        let rows = vec![
            row("asyn", 1, 1, 40e3),
            row("asyn", 8, 1, 60e3),
            row("asyn", 1, 2, 70e3),
            row("torch", 1, 1, 5e3),
            row("torch", 1, 2, 7e3),
        ];
        let text = table(&Networks { about: "", rows }).to_string();
        let cells = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().split_whitespace().skip(4).take(3).collect()
        };
        assert_eq!(cells(3), ["70.0", "1.75", "–"]);
        assert_eq!(cells(4), ["5.0", "–", "8.0"]);
        assert_eq!(cells(5), ["7.0", "1.40", "10.0"]);
    }
}
