//! `cargo xtask peers`: what users would pick instead, measured in the same run.
//!
//! CRFsuite is the fastest linear-chain CRF that installs from a registry. It
//! is installed into an environment of its own, trained on the same file with
//! the same 19 templates, and scored by the same scorer. Both read text and
//! leave a model; both tag text.
//!
//! What is not alike: CRFsuite keeps the pairs of attribute and label that it
//! has seen, while `asyn` gives every attribute a weight for every label; and
//! attributes are made by Python there, which its users pay for too. The time
//! of a pass is the program's own, so it leaves Python out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use asyn_report::Table;
use asyn_report::statistics::median;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reproduce::host::Host;
use crate::reproduce::program::Program;
use crate::workspace::{DATA_VARIABLE, Workspace, output, run as run_command};

/// The program that drives CRFsuite.
const SCRIPT: &str = include_str!("crfsuite.py");
/// What is installed from the Python package index.
const PACKAGE: &str = "python-crfsuite==0.9.12";
/// The passes of CRFsuite's stochastic gradient descent; its default is 1,000.
const SGD_PASSES: u32 = 30;
/// How often `asyn` trains; it is fast enough for a median.
const N_REPEATS: usize = 3;

/// What `cargo xtask peers` was asked to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trains CRFsuite by L-BFGS too, its default; this takes minutes.
    #[arg(long)]
    lbfgs: bool,
    /// The folder for the results [default: target/peers].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The files that all train on and are tested on.
#[derive(Debug)]
struct Files {
    about: &'static str,
    train: PathBuf,
    test: PathBuf,
}

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
struct Row {
    name: String,
    threads: u32,
    n_passes: usize,
    seconds_a_pass: Option<f64>,
    /// All passes, with what the program does before them to find a step size.
    train_seconds: f64,
    /// From the text file to the saved model.
    all_seconds: f64,
    f1: f64,
    /// From text to text.
    tag_tokens_per_second: Option<f64>,
    /// With attributes ready; `None` for `asyn`, which makes them as it tags.
    decode_tokens_per_second: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

/// What the script answers.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    passes: Vec<f64>,
    train_seconds: f64,
    all_seconds: f64,
    tag_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    peak_memory_bytes: u64,
}

/// What `peers.json` holds.
#[derive(Debug, Serialize)]
struct Everything<'r> {
    host: &'r Host,
    data: &'static str,
    rows: &'r [Row],
}

/// Trains `asyn` and its peers and writes the table.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| "target/peers".into());
    let out = workspace.root().join(out);
    fs::create_dir_all(&out).map_err(Error::file("create", &out))?;
    let program = Program::build(workspace)?;
    let python = install(workspace, &out)?;
    let files = files(workspace, &program, &out)?;

    let n_cores = available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let (mut rows, mut host) = (Vec::new(), None);
    let mut threads = vec![1, n_cores];
    threads.dedup();
    for threads in threads {
        let (row, measured_on) = asyn(workspace, &program, &files, threads, &out)?;
        rows.push(row);
        host = Some(measured_on);
    }
    let algorithms: &[_] = if args.lbfgs { &["l2sgd", "lbfgs"] } else { &["l2sgd"] };
    for algorithm in algorithms {
        let command = workspace.command(&python);
        rows.push(crfsuite(command, &program, &files, algorithm, &out)?);
    }
    match host {
        Some(host) => write(&out, &host, &files, &rows),
        None => Ok(()),
    }
}

/// Returns the CoNLL-2000 files, or planted ones where there is no such corpus.
fn files(workspace: &Workspace, program: &Program<'_>, out: &Path) -> Result<Files> {
    if let Some(data) = workspace.data() {
        let corpus = data.join("conll2000");
        return Ok(Files {
            about: "CoNLL-2000, all types of chunks",
            train: corpus.join("train.txt.gz"),
            test: corpus.join("test.txt"),
        });
    }
    eprintln!("{DATA_VARIABLE} is not set: a planted corpus stands in for CoNLL-2000");
    let (train, test) = (out.join("planted-train.txt"), out.join("planted-test.txt"));
    program.generate(9000, 1, &train)?;
    program.generate(2000, 2, &test)?;
    Ok(Files { about: "a planted corpus of the size of CoNLL-2000", train, test })
}

/// Installs the peer where it is missing, and returns the Python that has it.
fn install(workspace: &Workspace, out: &Path) -> Result<PathBuf> {
    let environment = out.join("python");
    let python = environment.join("bin").join("python");
    if !python.exists() {
        run_command(workspace.command("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = workspace.command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    run_command(&mut pip).inspect_err(|_| {
        eprintln!("{PACKAGE} cannot be installed here, so there is nothing to compare with");
    })?;
    Ok(python)
}

/// Trains and tags with the defaults of `asyn`.
fn asyn(
    workspace: &Workspace,
    program: &Program<'_>,
    files: &Files,
    threads: u32,
    out: &Path,
) -> Result<(Row, Host)> {
    let model = out.join("asyn.safetensors");
    let mut arguments = vec!["--train".to_owned(), files.train.display().to_string()];
    arguments.extend(["--template", "chunking", "--threads"].map(str::to_owned));
    arguments.push(threads.to_string());
    let mut trained = Vec::new();
    for repeat in 1..=N_REPEATS {
        eprintln!("asyn, {threads} threads, {repeat} of {N_REPEATS}");
        trained.push(program.train(&arguments, &model)?);
    }
    let tagged = out.join("asyn-tagged.txt");
    let mut speeds = Vec::new();
    for _ in 0..N_REPEATS {
        speeds.extend(program.tag(&model, &files.test, threads, &tagged)?.tokens_per_second);
    }
    let of_all = |value: &dyn Fn(&crate::reproduce::program::Trained) -> Option<f64>| {
        median(&trained.iter().filter_map(value).collect::<Vec<_>>())
    };
    let ends = || trained.iter().filter_map(|trained| trained.run.end.as_ref());
    let incomplete = || Error::Incomplete { name: "asyn".to_owned(), lacks: "end" };
    let row = Row {
        name: "asyn".to_owned(),
        threads,
        n_passes: trained[0].run.passes.len(),
        seconds_a_pass: of_all(&|trained| trained.run.seconds_a_pass()),
        train_seconds: of_all(&|trained| Some(trained.run.end.as_ref()?.total_train_seconds))
            .ok_or_else(incomplete)?,
        all_seconds: of_all(&|trained| Some(trained.seconds)).ok_or_else(incomplete)?,
        f1: program.score(&tagged)?.f1,
        tag_tokens_per_second: median(&speeds),
        decode_tokens_per_second: None,
        peak_memory_bytes: ends().filter_map(|end| end.peak_memory_bytes).max(),
    };
    Ok((row, Host::new(workspace, &trained[0].run, "cargo xtask peers")))
}

/// Trains and tags with CRFsuite; `python` runs the Python that has it.
fn crfsuite(
    mut python: Command,
    program: &Program<'_>,
    files: &Files,
    algorithm: &str,
    out: &Path,
) -> Result<Row> {
    eprintln!("CRFsuite, {algorithm}: this takes a while");
    let tagged = out.join(format!("crfsuite-{algorithm}-tagged.txt"));
    python.args(["-c", SCRIPT]).args([&files.train, &files.test, &tagged]);
    python.arg(out.join("crfsuite.model")).args([algorithm, &SGD_PASSES.to_string()]);
    let answer = output(python.stderr(Stdio::inherit()))?;
    let answer: Answer = serde_json::from_str(&answer)
        .map_err(|source| Error::Answer { command: "crfsuite.py".to_owned(), source })?;
    Ok(Row {
        name: format!("CRFsuite {} {algorithm}", answer.version),
        threads: 1,
        n_passes: answer.passes.len(),
        seconds_a_pass: median(&answer.passes),
        train_seconds: answer.train_seconds,
        all_seconds: answer.all_seconds,
        f1: program.score(&tagged)?.f1,
        tag_tokens_per_second: Some(answer.tag_tokens_per_second),
        decode_tokens_per_second: Some(answer.decode_tokens_per_second),
        peak_memory_bytes: Some(answer.peak_memory_bytes),
    })
}

/// Returns the table of measured values.
fn values(rows: &[Row]) -> Table {
    let number = |value: Option<f64>, n_digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
    };
    let header = [
        "program",
        "threads",
        "passes",
        "s a pass",
        "s training",
        "s text to model",
        "F1 (%)",
        "thousand tokens/s text to text",
        "attributes ready",
        "peak MB",
    ];
    rows.iter().fold(Table::new(header), |table, row| {
        let memory = row.peak_memory_bytes.map(|bytes| bytes.div_ceil(1_000_000).to_string());
        table.row([
            row.name.clone(),
            row.threads.to_string(),
            row.n_passes.to_string(),
            number(row.seconds_a_pass, 4),
            number(Some(row.train_seconds), 2),
            number(Some(row.all_seconds), 2),
            number(Some(row.f1), 2),
            number(row.tag_tokens_per_second.map(|speed| speed / 1e3), 0),
            number(row.decode_tokens_per_second.map(|speed| speed / 1e3), 0),
            memory.unwrap_or_else(|| "–".to_owned()),
        ])
    })
}

/// Returns how many times as much each peer needs as `asyn` on all cores.
fn ratios(rows: &[Row]) -> Table {
    let asyn = rows.iter().filter(|row| row.name == "asyn").max_by_key(|row| row.threads);
    let n_threads = asyn.map_or(1, |row| row.threads);
    let header = [
        "times as much as asyn",
        "s a pass",
        "s training",
        "s text to model",
        "text to text",
        "tagging alone",
        "memory",
    ];
    let note = format!(
        "asyn with its defaults on {n_threads} threads; the peers have one thread. In \"tagging \
         alone\" their attributes are ready, while asyn still goes from text to text."
    );
    let peers = rows.iter().filter(|row| row.name != "asyn");
    peers.fold(Table::new(header).note(note), |table, peer| {
        let ratio = |value: &dyn Fn(&Row) -> Option<f64>| {
            let ratio = asyn.and_then(|asyn| Some(value(peer)? / value(asyn)?));
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}"))
        };
        #[allow(clippy::cast_precision_loss, reason = "a ratio of memories needs few digits")]
        let memory = |row: &Row| row.peak_memory_bytes.map(|bytes| bytes as f64);
        table.row([
            peer.name.clone(),
            ratio(&|row| row.seconds_a_pass),
            ratio(&|row| Some(row.train_seconds)),
            ratio(&|row| Some(row.all_seconds)),
            ratio(&|row| row.tag_tokens_per_second.map(f64::recip)),
            ratio(&|row| {
                row.decode_tokens_per_second.or(row.tag_tokens_per_second).map(f64::recip)
            }),
            ratio(&memory),
        ])
    })
}

fn write(out: &Path, host: &Host, files: &Files, rows: &[Row]) -> Result<()> {
    let (values, ratios) = (values(rows), ratios(rows));
    let about = files.about;
    println!("\n{about}\n\n{values}\n{ratios}");
    let text = format!(
        "# asyn and its peers\n\nData: {about}.\nMachine: {}, {} cores, kernels {}.\nDate: {}.\n\
         Commit: {}.\nCommand: `{}`.\n\n{}\n{}",
        host.cpu,
        host.cores,
        host.kernels,
        host.date,
        host.commit.as_deref().unwrap_or("unknown"),
        host.command,
        values.markdown(),
        ratios.markdown()
    );
    let everything = Everything { host, data: about, rows };
    let json = serde_json::to_string_pretty(&everything).expect("numbers and strings are JSON");
    for (name, text) in [("peers.md", text), ("peers.json", json)] {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        println!("Written: {}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, threads: u32, seconds: f64) -> Row {
        Row {
            name: name.to_owned(),
            threads,
            n_passes: 10,
            seconds_a_pass: Some(seconds / 10.0),
            train_seconds: seconds,
            all_seconds: 2.0 * seconds,
            f1: 93.7,
            tag_tokens_per_second: Some(1000.0 / seconds),
            decode_tokens_per_second: None,
            peak_memory_bytes: None,
        }
    }

    #[test]
    fn peers_are_compared_with_the_fastest_row_of_asyn() {
        let rows = [row("asyn", 1, 2.0), row("asyn", 2, 1.0), row("CRFsuite", 1, 15.0)];
        let text = ratios(&rows).to_string();
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["CRFsuite", "15.0", "15.0", "15.0", "15.0", "15.0", "–"]);
        assert_eq!(values(&rows).to_string().lines().count(), 4);
    }
}
