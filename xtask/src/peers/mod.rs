//! `cargo xtask peers`: what users would pick instead, measured in the same run.
//!
//! CRFsuite is the fastest linear-chain CRF that installs from a registry, and
//! pkuseg a word segmenter of its own kind. They are installed into an
//! environment of their own, trained on the same files, and scored by the same
//! scorer; only pkuseg says itself what it scores. All read text and leave a
//! model; all tag text.
//!
//! What is not alike: CRFsuite keeps the pairs of attribute and label that it
//! has seen, while `asyn` gives every attribute a weight for every label; and
//! attributes are made by Python there, which its users pay for too. The time
//! of a pass is the program's own, so it leaves Python out.
//!
//! torch, whose installation takes some gigabytes, stands beside the Bi-LSTM where it is asked
//! for by `--only lstm`, and eflomal and hmmlearn beside what learns without labels by `--only em`.

mod bilstm;
mod em;
mod table;
mod task;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::available_parallelism;

use asyn_report::statistics::median;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reproduce::host::Host;
use crate::reproduce::program::{Program, Trained};
use crate::workspace::{Workspace, output, run as run_command};
use bilstm::Networks;
use em::Unlabelled;
use table::{ratios, values};
use task::Task;

/// The programs that drive the peers.
const CRFSUITE: &str = include_str!("crfsuite.py");
const PKUSEG: &str = include_str!("pkuseg.py");
/// What is installed from the Python package index: what has to be there, and what may be missing.
const NEEDED: &str = "python-crfsuite==0.9.12";
const WANTED: &str = "spacy-pkuseg==1.0.2";
/// How often `asyn` trains; it is fast enough for a median.
const N_REPEATS: usize = 3;

/// What `cargo xtask peers` was asked to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trains CRFsuite by L-BFGS too, its default; this takes minutes.
    #[arg(long)]
    lbfgs: bool,
    /// Only this task [default: chunking and segmentation].
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// The folder for the results [default: target/peers].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The names of tasks on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Chunking by a CRF.
    Chunking,
    /// Chinese word segmentation by a CRF.
    Segmentation,
    /// Parts of speech by a Bi-LSTM, beside torch.
    Lstm,
    /// Word alignment beside eflomal, and states without labels beside hmmlearn.
    Em,
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
    /// What it took to get to the target.
    to_target: Option<ToTarget>,
    /// From text to text.
    tag_tokens_per_second: Option<f64>,
    /// With attributes ready; `None` for `asyn`, which makes them as it tags.
    decode_tokens_per_second: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

/// A run that ended with the target.
#[derive(Debug, Clone, Copy, Serialize)]
struct ToTarget {
    n_passes: usize,
    train_seconds: f64,
    /// From the text file on, as a command of so many passes.
    all_seconds: f64,
}

/// What a script answers.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    seconds_a_pass: f64,
    /// Runs of more and more passes.
    runs: Vec<AnsweredRun>,
    tag_tokens_per_second: f64,
    decode_tokens_per_second: Option<f64>,
    peak_memory_bytes: u64,
}

/// A run of a peer: what it tagged, or what it scores itself.
#[derive(Debug, Deserialize)]
struct AnsweredRun {
    passes: usize,
    train_seconds: f64,
    all_seconds: f64,
    tagged: Option<PathBuf>,
    f1: Option<f64>,
}

/// What `peers.json` holds.
#[derive(Debug, Serialize)]
struct Everything<'r> {
    host: &'r Host,
    tasks: Vec<Compared>,
    networks: Option<Networks>,
    unlabelled: Option<Unlabelled>,
}

/// The rows of one task.
#[derive(Debug, Serialize)]
struct Compared {
    data: &'static str,
    target: f64,
    rows: Vec<Row>,
}

/// Trains `asyn` and its peers and writes the table.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| "target/peers".into());
    let out = workspace.root().join(out);
    fs::create_dir_all(&out).map_err(Error::file("create", &out))?;
    let program = Program::build(workspace)?;
    let n_cores = available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let python = environment(workspace, &out)?;
    if args.only == Some(Only::Lstm) {
        let has_torch = install(workspace, &python, bilstm::TORCH).is_ok();
        let python = has_torch.then_some(python.as_path());
        let bench = bilstm::Bench { workspace, program: &program, python, out: &out, n_cores };
        let (networks, host) = bench.compare()?;
        return write(&out, &host, Vec::new(), Some(networks), None);
    }
    if args.only == Some(Only::Em) {
        let has = |package| install(workspace, &python, package).is_ok();
        let [eflomal, fast_align, hmmlearn] = [em::EFLOMAL, em::FAST_ALIGN, em::HMMLEARN]
            .map(|package| has(package).then_some(python.as_path()));
        let (program, out) = (&program, out.as_path());
        let bench = em::Bench { workspace, program, eflomal, fast_align, hmmlearn, out, n_cores };
        let (unlabelled, host) = bench.compare()?;
        return write(out, &host, Vec::new(), None, Some(unlabelled));
    }
    install(workspace, &python, NEEDED)?;
    let has_pkuseg = install(workspace, &python, WANTED).is_ok();
    let (mut compared, mut host) = (Vec::new(), None);
    let tasks = task::tasks(workspace, &program, &out)?;
    for task in tasks.iter().filter(|task| args.only.is_none_or(|only| only == task.only)) {
        let bench = Bench { workspace, program: &program, python: &python, out: &out, task };
        let mut rows = Vec::new();
        let mut threads = vec![1, n_cores];
        threads.dedup();
        for threads in threads {
            let (row, measured_on) = bench.asyn(threads)?;
            rows.push(row);
            host = Some(measured_on);
        }
        rows.push(bench.crfsuite("l2sgd", task.sgd_passes)?);
        if args.lbfgs {
            rows.push(bench.crfsuite("lbfgs", task.lbfgs_passes)?);
        }
        if let Some(passes) = task.pkuseg_passes.filter(|_| has_pkuseg) {
            rows.push(bench.pkuseg(passes)?);
        }
        compared.push(Compared { data: task.about, target: task.target, rows });
    }
    match host {
        Some(host) => write(&out, &host, compared, None, None),
        None => Ok(()),
    }
}

/// Makes an environment where there is none, and returns its Python.
fn environment(workspace: &Workspace, out: &Path) -> Result<PathBuf> {
    let environment = out.join("python");
    let python = environment.join("bin").join("python");
    if !python.exists() {
        run_command(workspace.command("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    Ok(python)
}

/// Installs a package where it is missing, and says so where that is not possible.
fn install(workspace: &Workspace, python: &Path, package: &str) -> Result<()> {
    let mut pip = workspace.command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    run_command(&mut pip)
        .inspect_err(|_| eprintln!("{package} cannot be installed here: it is left out"))
}

/// What is needed to train all programs for one task.
struct Bench<'b> {
    workspace: &'b Workspace,
    program: &'b Program<'b>,
    python: &'b Path,
    out: &'b Path,
    task: &'b Task,
}

impl Bench<'_> {
    /// Trains `asyn` some times with more flags, and returns all runs.
    fn train(&self, threads: u32, flags: &[String], model: &Path) -> Result<Vec<Trained>> {
        let train = self.task.train.display().to_string();
        let mut arguments = vec!["crf".to_owned(), "--train".to_owned(), train];
        arguments.extend(self.task.flags.iter().map(|&flag| flag.to_owned()));
        arguments.extend(["--threads".to_owned(), threads.to_string()]);
        arguments.extend_from_slice(flags);
        let train = |repeat| {
            eprintln!("asyn, {}, {threads} threads, {repeat} of {N_REPEATS}", self.task.name);
            self.program.train(&arguments, model)
        };
        (1..=N_REPEATS).map(train).collect()
    }

    /// Trains and tags with the defaults of `asyn`.
    fn asyn(&self, threads: u32) -> Result<(Row, Host)> {
        let (Self { program, task, .. }, incomplete) =
            (self, || Error::Incomplete { name: "asyn".to_owned(), lacks: "end" });
        let to_target = self.to_target(threads)?;
        let model = self.out.join("asyn.safetensors");
        let trained = self.train(threads, &[], &model)?;
        let tagged = self.out.join("asyn-tagged.txt");
        let mut speeds = Vec::new();
        for _ in 0..N_REPEATS {
            speeds.extend(program.tag(&model, &task.test, threads, &tagged)?.tokens_per_second);
        }
        let of_all = |value: &dyn Fn(&Trained) -> Option<f64>| {
            median(&trained.iter().filter_map(value).collect::<Vec<_>>())
        };
        let ends = || trained.iter().filter_map(|trained| trained.run.end.as_ref());
        let row = Row {
            name: "asyn".to_owned(),
            threads,
            n_passes: trained[0].run.passes.len(),
            seconds_a_pass: of_all(&|trained| trained.run.seconds_a_pass()),
            train_seconds: of_all(&|trained| Some(trained.run.end.as_ref()?.total_train_seconds))
                .ok_or_else(incomplete)?,
            all_seconds: of_all(&|trained| Some(trained.seconds)).ok_or_else(incomplete)?,
            f1: program.score(task.scorer, &tagged)?,
            to_target,
            tag_tokens_per_second: median(&speeds),
            decode_tokens_per_second: None,
            peak_memory_bytes: ends().filter_map(|end| end.peak_memory_bytes).max(),
        };
        Ok((row, Host::new(self.workspace, &trained[0].run, "cargo xtask peers")))
    }

    /// Measures the time to the target: first in which pass it is reached, scoring the test after
    /// each, then commands of so many passes.
    fn to_target(&self, threads: u32) -> Result<Option<ToTarget>> {
        let model = self.out.join("asyn-target.safetensors");
        let scored = ["--dev".to_owned(), self.task.test.display().to_string()];
        let scored = self.train(threads, &scored, &model)?;
        let reached = |trained: &Trained| {
            let scores = trained.run.score_by_time();
            let pass = scores.iter().position(|&(_, f1)| f1 >= self.task.target)?;
            Some((pass + 1, scores[pass].0))
        };
        let reached: Vec<(usize, f64)> = scored.iter().filter_map(reached).collect();
        let Some(&(n_passes, _)) = reached.iter().max_by_key(|(n_passes, _)| *n_passes) else {
            return Ok(None);
        };
        let passes = ["--passes".to_owned(), n_passes.to_string()];
        let whole = self.train(threads, &passes, &model)?;
        let times: Vec<f64> = reached.iter().map(|&(_, seconds)| seconds).collect();
        let commands: Vec<f64> = whole.iter().map(|trained| trained.seconds).collect();
        let measured = median(&times).zip(median(&commands));
        Ok(measured.map(|(train_seconds, all_seconds)| ToTarget {
            n_passes,
            train_seconds,
            all_seconds,
        }))
    }

    /// Trains and tags with CRFsuite.
    fn crfsuite(&self, algorithm: &str, passes: &[&str]) -> Result<Row> {
        eprintln!("CRFsuite, {}, {algorithm}: this takes a while", self.task.name);
        let tagged = self.out.join(format!("crfsuite-{}-{algorithm}", self.task.name));
        let mut python = self.workspace.command(self.python);
        python.args(["-c", CRFSUITE, self.task.name]).args([&self.task.train, &self.task.test]);
        python.args([tagged, self.out.join("crfsuite.model")]).arg(algorithm).args(passes);
        let answer = output(python.stderr(Stdio::inherit()))?;
        self.row("crfsuite.py", &format!(" {algorithm}"), &answer)
    }

    /// Trains and segments with pkuseg.
    fn pkuseg(&self, passes: u32) -> Result<Row> {
        eprintln!("pkuseg, {passes} passes: this takes minutes");
        let mut python = self.workspace.command(self.python);
        python.args(["-c", PKUSEG]).args([&self.task.train, &self.task.test]);
        let answer = output(python.arg(passes.to_string()).stderr(Stdio::inherit()))?;
        self.row("pkuseg.py", "", &answer)
    }

    /// Makes a row of what a script answered.
    fn row(&self, script: &str, algorithm: &str, answer: &str) -> Result<Row> {
        let answer: Answer = serde_json::from_str(answer)
            .map_err(|source| Error::Answer { command: script.to_owned(), source })?;
        let mut scored = Vec::new();
        for run in &answer.runs {
            let f1 = match &run.tagged {
                Some(tagged) => Some(self.program.score(self.task.scorer, tagged)?),
                None => run.f1,
            };
            scored.extend(f1.map(|f1| (run, f1)));
        }
        let incomplete = || Error::Incomplete { name: script.to_owned(), lacks: "runs" };
        let &(last, f1) = scored.last().ok_or_else(incomplete)?;
        let reached = scored.iter().find(|(_, f1)| *f1 >= self.task.target);
        let program = if script == "pkuseg.py" { "spacy-pkuseg" } else { "CRFsuite" };
        Ok(Row {
            name: format!("{program} {}{algorithm}", answer.version),
            threads: 1,
            n_passes: last.passes,
            seconds_a_pass: Some(answer.seconds_a_pass),
            train_seconds: last.train_seconds,
            all_seconds: last.all_seconds,
            f1,
            to_target: reached.map(|(run, _)| ToTarget {
                n_passes: run.passes,
                train_seconds: run.train_seconds,
                all_seconds: run.all_seconds,
            }),
            tag_tokens_per_second: Some(answer.tag_tokens_per_second),
            decode_tokens_per_second: answer.decode_tokens_per_second,
            peak_memory_bytes: Some(answer.peak_memory_bytes),
        })
    }
}

fn write(
    out: &Path,
    host: &Host,
    tasks: Vec<Compared>,
    networks: Option<Networks>,
    unlabelled: Option<Unlabelled>,
) -> Result<()> {
    let mut text = format!(
        "# asyn and its peers\n\nMachine: {}, {} cores, kernels {}.\nDate: {}.\nCommit: {}.\n\
         Command: `{}`.\n",
        host.cpu,
        host.cores,
        host.kernels,
        host.date,
        host.commit.as_deref().unwrap_or("unknown"),
        host.command,
    );
    for Compared { data, target, rows } in &tasks {
        let (values, ratios) = (values(rows, *target), ratios(rows));
        println!("\n{data}\n\n{values}\n{ratios}");
        text += &format!("\nData: {data}.\n\n{}\n{}", values.markdown(), ratios.markdown());
    }
    if let Some(networks) = &networks {
        let (about, table) = (networks.about, bilstm::table(networks));
        println!("\n{about}\n\n{table}");
        text += &format!("\nData: {about}.\n\n{}", table.markdown());
    }
    for table in unlabelled.iter().flat_map(em::tables) {
        println!("\n{table}");
        text += &format!("\n{}", table.markdown());
    }
    let everything = Everything { host, tasks, networks, unlabelled };
    let json = serde_json::to_string_pretty(&everything).expect("numbers and strings are JSON");
    for (name, text) in [("peers.md", text), ("peers.json", json)] {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        println!("Written: {}", path.display());
    }
    Ok(())
}
