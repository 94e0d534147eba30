//! Word alignment beside eflomal and fast_align, and a hidden Markov model without labels beside hmmlearn.
//!
//! Both directions are aligned from text to links; the time is that of whole commands. Gold links
//! are those of the first pairs, which are in the text. hmmlearn has one thread and batch EM, so
//! what is compared with it is the speed of batch EM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use asyn_report::Table;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reproduce::corpus;
use crate::reproduce::host::Host;
use crate::reproduce::parallel::Parallel;
use crate::reproduce::program::Program;
use crate::workspace::{DATA_VARIABLE, Workspace, output};

/// What is installed from the Python package index, if it can be.
pub(super) const EFLOMAL: &str = "eflomal==2.0.0";
/// fast_align as a module of Python.
pub(super) const FAST_ALIGN: &str = "systran-align==3.5.0";
pub(super) const HMMLEARN: &str = "hmmlearn==0.3.3";
/// The programs that drive them.
const EFLOMAL_SCRIPT: &str = include_str!("eflomal.py");
const FAST_ALIGN_SCRIPT: &str = include_str!("fast_align.py");
const HMMLEARN_SCRIPT: &str = include_str!("hmmlearn.py");
/// The states and the iterations of batch EM.
const STATES: u32 = 45;
const ITERATIONS: u32 = 4;
/// The models of `asyn align`, as tables call them and as flags ask for them.
const MODELS: [(&str, &str); 3] =
    [("Model 1", "uniform"), ("diagonal", "diagonal"), ("HMM", "hmm")];

/// The rows of both tables.
#[derive(Debug, Serialize)]
pub(super) struct Unlabelled {
    aligned: Vec<Aligned>,
    states: Vec<States>,
}

/// A program that aligned a text.
#[derive(Debug, Serialize)]
struct Aligned {
    text: &'static str,
    name: String,
    model: String,
    threads: u32,
    /// From text to links in both directions.
    seconds: f64,
    /// Alignment error rates in percent: left to right, right to left, and both joined.
    forward: Option<f64>,
    backward: Option<f64>,
    joined: Option<f64>,
}

/// A program that trained a hidden Markov model.
#[derive(Debug, Serialize)]
struct States {
    name: String,
    threads: u32,
    tokens_per_second: f64,
    log_likelihood: f64,
    peak_memory_bytes: Option<u64>,
}

/// What an aligner is driven by answers.
#[derive(Debug, Deserialize)]
struct AlignerAnswer {
    version: String,
    seconds: f64,
}

/// What hmmlearn is driven by answers.
#[derive(Debug, Deserialize)]
struct HmmlearnAnswer {
    version: String,
    n_tokens: u32,
    iterations: u32,
    seconds: f64,
    log_likelihood: f64,
    peak_memory_bytes: u64,
}

/// The part of what the example `em` writes that is read here.
#[derive(Debug, Deserialize)]
struct Followed {
    n_units: u32,
    moments: Vec<Moment>,
}

#[derive(Debug, Deserialize)]
struct Moment {
    passes: f64,
    seconds: f64,
    log_likelihood: f64,
}

/// What `asyn eval --scorer aer --json` says.
#[derive(Debug, Deserialize)]
struct Agreement {
    aer: Option<f64>,
}

/// What is needed to run all of them.
pub(super) struct Bench<'b> {
    pub(super) workspace: &'b Workspace,
    pub(super) program: &'b Program<'b>,
    /// The Python that has eflomal, fast_align or hmmlearn, where it can be installed.
    pub(super) eflomal: Option<&'b Path>,
    pub(super) fast_align: Option<&'b Path>,
    pub(super) hmmlearn: Option<&'b Path>,
    pub(super) out: &'b Path,
    pub(super) n_cores: u32,
}

impl Bench<'_> {
    /// Aligns and trains with all.
    pub(super) fn compare(&self) -> Result<(Unlabelled, Host)> {
        let example = self.program.example("em")?;
        let texts = match self.workspace.data() {
            Some(data) => {
                vec![Parallel::hansards(data, self.out)?, Parallel::spanish(data, self.out)?]
            }
            None => {
                eprintln!("{DATA_VARIABLE} is not set: planted texts stand in for real ones");
                vec![Parallel::planted(&example, self.out)?]
            }
        };
        let mut aligned = Vec::new();
        for text in &texts {
            for model in MODELS {
                aligned.push(self.asyn(text, model)?);
            }
            if let Some(python) = self.fast_align {
                for model in ["1", "diagonal"] {
                    aligned.push(self.fast_align(python, text, model)?);
                }
            }
            if let Some(python) = self.eflomal {
                for model in ["1", "3"] {
                    aligned.push(self.eflomal(python, text, model)?);
                }
            }
        }
        let (states, host) = self.states(&example)?;
        Ok((Unlabelled { aligned, states }, host))
    }

    /// Trains both directions together for the time and the joined links, and each on its own for
    /// the links of one.
    fn asyn(&self, text: &Parallel, (name, distortion): (&str, &str)) -> Result<Aligned> {
        eprintln!("asyn, {}, {name}", text.name);
        let align = |direction: &str| {
            let begun = Instant::now();
            let model = self.out.join("aligner.safetensors");
            let mut train = self.program.command();
            train.args(["--quiet", "align", "train"]).args([&text.left, &text.right]);
            train.args(["--distortion", distortion, "--direction", direction]);
            output(train.arg("--model").arg(&model).stderr(Stdio::inherit()))?;
            let mut align = self.program.command();
            align.arg("align").arg("--model").arg(&model).args([&text.left, &text.right]);
            let links = output(align.stderr(Stdio::inherit()))?;
            let seconds = begun.elapsed().as_secs_f64();
            let path = self.out.join(format!("links-asyn-{direction}"));
            fs::write(&path, links).map_err(Error::file("write", &path))?;
            Ok::<_, Error>((self.score(text, &path)?, seconds))
        };
        let (joined, seconds) = align("both")?;
        Ok(Aligned {
            text: text.name,
            name: "asyn".to_owned(),
            model: name.to_owned(),
            threads: self.n_cores,
            seconds,
            forward: Some(align("forward")?.0),
            backward: Some(align("backward")?.0),
            joined: Some(joined),
        })
    }

    fn eflomal(&self, python: &Path, text: &Parallel, model: &str) -> Result<Aligned> {
        eprintln!("eflomal, {}, model {model}", text.name);
        let links =
            ["forward", "backward"].map(|side| self.out.join(format!("links-eflomal-{side}")));
        let answer = self.aligner(python, EFLOMAL_SCRIPT, text, model, &links)?;
        Ok(Aligned {
            text: text.name,
            name: format!("eflomal {}", answer.version),
            model: format!("model {model}"),
            threads: self.n_cores,
            seconds: answer.seconds,
            forward: Some(self.score(text, &links[0])?),
            backward: Some(self.score(text, &links[1])?),
            joined: None,
        })
    }

    fn fast_align(&self, python: &Path, text: &Parallel, model: &str) -> Result<Aligned> {
        eprintln!("fast_align, {}, {model}", text.name);
        let places = [self.out.join("links-fast-align"), self.out.to_owned()];
        let answer = self.aligner(python, FAST_ALIGN_SCRIPT, text, model, &places)?;
        Ok(Aligned {
            text: text.name,
            name: format!("fast_align (systran-align {})", answer.version),
            model: if model == "1" { "Model 1".to_owned() } else { model.to_owned() },
            threads: self.n_cores,
            seconds: answer.seconds,
            forward: None,
            backward: None,
            joined: Some(self.score(text, &places[0])?),
        })
    }

    fn aligner(
        &self,
        python: &Path,
        script: &str,
        text: &Parallel,
        model: &str,
        places: &[PathBuf; 2],
    ) -> Result<AlignerAnswer> {
        let mut command = self.workspace.command(python);
        command.args(["-c", script]).args([&text.left, &text.right]).arg(model).args(places);
        let answer = output(command.stderr(Stdio::inherit()))?;
        serde_json::from_str(&answer)
            .map_err(|source| Error::Answer { command: "an aligner".to_owned(), source })
    }

    /// Returns the alignment error rate in percent of the links of the first pairs.
    fn score(&self, text: &Parallel, links: &Path) -> Result<f64> {
        let incomplete = || Error::Incomplete { name: text.name.to_owned(), lacks: "gold links" };
        let gold = text.gold.as_deref().ok_or_else(incomplete)?;
        let n_gold = corpus::read(gold)?.lines().count();
        let all = corpus::read(links)?;
        let first: String = all.lines().take(n_gold).map(|line| format!("{line}\n")).collect();
        let path = self.out.join("links-scored");
        fs::write(&path, first).map_err(Error::file("write", &path))?;
        let mut command = self.program.command();
        command.args(["eval", "--json", "--scorer", "aer", "--gold"]).arg(gold).arg(&path);
        let answer = output(command.stderr(Stdio::inherit()))?;
        let command = "asyn eval --scorer aer".to_owned();
        let score: Agreement =
            serde_json::from_str(&answer).map_err(|source| Error::Answer { command, source })?;
        score.aer.ok_or_else(incomplete)
    }

    /// Trains hidden Markov models on the words of CoNLL-2000 by batch EM.
    fn states(&self, example: &Program<'_>) -> Result<(Vec<States>, Host)> {
        let words = self.words()?;
        let mut rows = Vec::new();
        let mut threads = vec![1, self.n_cores];
        threads.dedup();
        for threads in threads {
            rows.push(self.followed(example, &words, threads)?);
        }
        if let Some(python) = self.hmmlearn {
            eprintln!("hmmlearn, {STATES} states");
            let mut command = self.workspace.command(python);
            command.args(["-c", HMMLEARN_SCRIPT]).arg(&words);
            command.args([STATES, ITERATIONS].map(|it| it.to_string()));
            let answer = output(command.stderr(Stdio::inherit()))?;
            let answer: HmmlearnAnswer = serde_json::from_str(&answer)
                .map_err(|source| Error::Answer { command: "hmmlearn.py".to_owned(), source })?;
            let tokens = f64::from(answer.n_tokens) * f64::from(answer.iterations);
            rows.push(States {
                name: format!("hmmlearn {}", answer.version),
                threads: 1,
                tokens_per_second: tokens / answer.seconds,
                log_likelihood: answer.log_likelihood,
                peak_memory_bytes: Some(answer.peak_memory_bytes),
            });
        }
        let host = self.host(&words)?;
        Ok((rows, host))
    }

    fn words(&self) -> Result<PathBuf> {
        if let Some(data) = self.workspace.data() {
            return Ok(corpus::parts_of_speech(data, self.out)?.0);
        }
        let path = self.out.join("planted-train.txt");
        self.program.generate(9000, 1, &path)?;
        Ok(path)
    }

    fn followed(&self, example: &Program<'_>, words: &Path, threads: u32) -> Result<States> {
        eprintln!("asyn, {STATES} states, {threads} threads");
        let json = self.out.join("follow.json");
        let mut command = example.command();
        command.arg("hmm").arg(words).args(["--update", "batch", "--accumulate", "100"]);
        command.args(["--strategy", if threads > 1 { "minibatch" } else { "serial" }]);
        for (flag, value) in
            [("--states", STATES), ("--passes", ITERATIONS), ("--threads", threads)]
        {
            command.args([flag, &value.to_string()]);
        }
        output(command.arg("--json").arg(&json).stderr(Stdio::inherit()))?;
        let text = fs::read_to_string(&json).map_err(Error::file("read", &json))?;
        let followed: Followed = serde_json::from_str(&text)
            .map_err(|source| Error::Answer { command: "em".to_owned(), source })?;
        let incomplete = || Error::Incomplete { name: "em".to_owned(), lacks: "pass" };
        let last = followed.moments.last().ok_or_else(incomplete)?;
        Ok(States {
            name: "asyn".to_owned(),
            threads,
            tokens_per_second: f64::from(followed.n_units) * last.passes / last.seconds,
            log_likelihood: last.log_likelihood,
            peak_memory_bytes: None,
        })
    }

    /// Trains on words once by the command, for what it says of the machine.
    fn host(&self, words: &Path) -> Result<Host> {
        let arguments = ["crf", "--passes", "1", "--template", "word", "--train"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(words.display().to_string());
        let trained = self.program.train(&arguments, &self.out.join("words.safetensors"))?;
        Ok(Host::new(self.workspace, &trained.run, "cargo xtask peers --only em"))
    }
}

/// Returns both tables.
pub(super) fn tables(measured: &Unlabelled) -> [Table; 2] {
    let percent =
        |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}"));
    let header = [
        "text",
        "program",
        "model",
        "threads",
        "s, text to links",
        "AER forward (%)",
        "AER backward (%)",
        "AER joined (%)",
    ];
    let aligned = measured.aligned.iter().fold(Table::new(header), |table, row| {
        table.row([
            row.text.to_owned(),
            row.name.clone(),
            row.model.clone(),
            row.threads.to_string(),
            format!("{:.2}", row.seconds),
            percent(row.forward),
            percent(row.backward),
            percent(row.joined),
        ])
    });
    let aligned = aligned.note(
        "Both directions, the text of the gold links among what is aligned; asyn with its defaults, \
         joined by grow-diag-final-and; fast_align with variational Bayes, its own joining, and \
         with the diagonal its tension optimised. It comes from no registry but as a module of \
         Python.",
    );
    let header = ["program", "threads", "M tokens/s", "× hmmlearn", "log-likelihood", "peak MB"];
    let peer = measured.states.iter().find(|row| row.name != "asyn");
    let states = measured.states.iter().fold(Table::new(header), |table, row| {
        let ratio = peer.filter(|_| row.name == "asyn");
        let ratio = ratio.map(|peer| row.tokens_per_second / peer.tokens_per_second);
        let memory = row.peak_memory_bytes.map(|bytes| bytes.div_ceil(1_000_000).to_string());
        table.row([
            row.name.clone(),
            row.threads.to_string(),
            format!("{:.3}", row.tokens_per_second / 1e6),
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}")),
            format!("{:.0}", row.log_likelihood),
            memory.unwrap_or_else(|| "–".to_owned()),
        ])
    });
    let states = states.note(format!(
        "{ITERATIONS} iterations of batch EM with {STATES} states from random starts, which differ; \
         hmmlearn with its implementation by scaling, the faster one."
    ));
    [aligned, states]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_held_against_hmmlearn() {
        let row = |name: &str, threads, tokens_per_second| States {
            name: name.to_owned(),
            threads,
            tokens_per_second,
            log_likelihood: -1.0,
            peak_memory_bytes: None,
        };
        let states = vec![row("asyn", 1, 2e6), row("hmmlearn 0.3.3", 1, 1e5)];
        let [_, table] = tables(&Unlabelled { aligned: Vec::new(), states });
        let text = table.to_string();
        assert!(text.lines().nth(1).unwrap().contains("20.0"), "{text}");
        assert!(text.lines().nth(2).unwrap().contains('–'), "{text}");
    }
}
