//! `cargo xtask reproduce`: every strategy on the same task, with a table and a page.
//!
//! The command is driven as a user would: each run is one `asyn train`. What is
//! compared, at which settings and on what is in `contender` and `experiment`,
//! fixed before anything runs. Runs are interleaved: one round a seed over all
//! contenders, so that a busy minute hits all alike.
//!
//! | File                         | What it holds                               |
//! | ---------------------------- | ------------------------------------------- |
//! | `report.html`                | the page                                    |
//! | `results.json`               | all numbers, those of each pass included    |
//! | `runs/`                      | the events of each run                      |
//!
//! Nothing is extrapolated: a number of threads that was not run is not shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use asyn_report::Run;
use clap::ValueEnum;
use serde::Serialize;

use self::end_to_end::EndToEnd;
use self::experiment::{Experiment, Model, Name};
use self::host::Host;
use self::online::{Lab, Study};
use self::panels::Panels;
use self::program::Program;
use self::summary::{Arm, Summary};
use crate::error::{Error, Result};
use crate::workspace::Workspace;

mod brown;
mod contender;
pub(crate) mod corpus;
mod end_to_end;
mod experiment;
mod figures;
pub(crate) mod host;
mod online;
mod page;
mod panel_figures;
mod panels;
pub(crate) mod parallel;
pub(crate) mod program;
mod summary;
mod theory;

/// What `cargo xtask reproduce` was asked to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs fewer seeds, and the planted corpus alone unless --only names others.
    #[arg(long)]
    quick: bool,
    /// Runs these experiments and no others [default: all whose data are here].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Name>,
    /// The folder for page and results [default: target/reproduce].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The number of seeds [default: 5, or 3 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seeds: Option<u32>,
    /// The numbers of threads [default: 1, 2 and as far as there are cores].
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Vec<u32>,
}

/// How much is run.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    n_seeds: u32,
    threads: Vec<u32>,
    n_cores: u32,
    /// Whether less is run: no races, which take some eighty runs, and the smaller texts.
    is_quick: bool,
}

/// What came out of one experiment.
#[derive(Debug, Serialize)]
struct Results {
    experiment: Experiment,
    /// The score in percent that times are measured to.
    target: Option<f64>,
    summaries: Vec<Summary>,
    arms: Vec<Arm>,
    panels: Option<Panels>,
}

/// What `results.json` holds.
#[derive(Debug, Serialize)]
struct Everything<'r> {
    host: &'r Host,
    settings: &'r Settings,
    experiments: &'r [Results],
    studies: &'r [Study],
    end_to_end: Option<&'r EndToEnd>,
}

/// What came out of all of them.
#[derive(Debug)]
struct Made {
    all: Vec<Results>,
    studies: Vec<Study>,
    end_to_end: Option<EndToEnd>,
}

/// Runs the experiments and writes what came out.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let settings = settings(args);
    let program = Program::build(workspace)?;
    let out = args.out.clone().unwrap_or_else(|| "target/reproduce".into());
    let out = workspace.root().join(out);
    let runs = out.join("runs");
    fs::create_dir_all(&runs).map_err(Error::file("create", &runs))?;

    let names = match (args.only.as_slice(), args.quick) {
        ([], true) => &[Name::Planted],
        ([], false) => Name::value_variants(),
        (only, _) => only,
    };
    let lab = Lab { workspace, program: &program, settings: &settings, folder: &runs };
    let (mut all, mut studies) = (Vec::new(), Vec::new());
    for &name in names {
        if name.is_study() {
            studies.push(online::study(name, &lab)?);
            continue;
        }
        match Experiment::prepare(name, workspace, &program, &runs) {
            Ok(experiment) => all.push(reproduce(&program, experiment, &settings, &runs)?),
            Err(lack) if lack.is_lack_of_data() && args.only.is_empty() => {
                eprintln!("{} is left out: {lack}", shown(name));
            }
            Err(error) => return Err(error),
        }
    }
    let chosen = all.iter().find(|results| results.experiment.name == Name::CrfChunk);
    let is_crf = |results: &&Results| results.experiment.model == Model::Crf;
    let end_to_end = match chosen.or(all.iter().find(is_crf)) {
        Some(results) => {
            let most = settings.threads.iter().copied().max().unwrap_or(1);
            Some(end_to_end::measure(&program, &results.experiment, most, &runs)?)
        }
        None => None,
    };
    if all.is_empty() && studies.is_empty() {
        return Ok(());
    }
    let host = Host::new(workspace, &short_run(&program, &runs)?, &command(args));
    let made = Made { all, studies, end_to_end };
    print(&made);
    write(&out, &host, &settings, &made)
}

fn settings(args: &Args) -> Settings {
    let n_cores = available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let mut threads = args.threads.clone();
    if threads.is_empty() {
        let doubled = (1..32).map(|power| 1_u32 << power).take_while(|&n| n < n_cores);
        threads.extend([1, 2, n_cores.max(1)].into_iter().chain(doubled));
    }
    threads.sort_unstable();
    threads.dedup();
    let n_seeds = args.seeds.unwrap_or(if args.quick { 3 } else { 5 });
    Settings { n_seeds, threads, n_cores, is_quick: args.quick }
}

/// Returns the command line that asks for the same.
fn command(args: &Args) -> String {
    let mut command = "cargo xtask reproduce".to_owned();
    if args.quick {
        command += " --quick";
    }
    let join = |items: Vec<String>| items.join(",");
    if !args.only.is_empty() {
        command +=
            &format!(" --only {}", join(args.only.iter().map(|&name| shown(name)).collect()));
    }
    if let Some(seeds) = args.seeds {
        command += &format!(" --seeds {seeds}");
    }
    if !args.threads.is_empty() {
        command +=
            &format!(" --threads {}", join(args.threads.iter().map(u32::to_string).collect()));
    }
    command
}

fn shown(name: Name) -> String {
    name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Runs every contender with every seed, seed by seed.
fn reproduce(
    program: &Program<'_>,
    experiment: Experiment,
    settings: &Settings,
    folder: &Path,
) -> Result<Results> {
    let contenders = experiment.contenders(&settings.threads).into_iter();
    let mut arms: Vec<Arm> = contenders
        .map(|(contender, threads)| Arm { contender, threads, runs: Vec::new() })
        .collect();
    for seed in 1..=settings.n_seeds {
        eprintln!("{}: seed {seed} of {}", experiment.title, settings.n_seeds);
        for arm in arms.iter_mut().filter(|arm| seed <= arm.contender.most_seeds) {
            let mut arguments = experiment.files(&experiment.train);
            arguments.extend(experiment.flags.iter().map(|&flag| flag.to_owned()));
            arguments.extend(arm.contender.arguments());
            for (flag, value) in
                [("--threads", arm.threads), ("--passes", experiment.passes), ("--seed", seed)]
            {
                arguments.extend([flag.to_owned(), value.to_string()]);
            }
            let name = format!("{} {} threads seed {seed}", arm.contender.name, arm.threads);
            let run = run_one(program, &arguments, folder, experiment.name, &name)?;
            let (Some(score), Some(speed)) = (run.last_score(), run.tokens_per_second()) else {
                return Err(Error::Incomplete { name, lacks: "score" });
            };
            eprintln!("  {name}: {score:.2} %, {:.1} thousand tokens/s", speed / 1e3);
            arm.runs.push(run);
        }
    }
    let panels = match !settings.is_quick && experiment.has_panels {
        true => Some(panels::watch(program, &experiment, settings, folder)?),
        false => None,
    };
    let target = summary::target(experiment.target, &arms);
    Ok(Results { target, summaries: summary::summarise(&arms, target), experiment, arms, panels })
}

/// Trains with `arguments` and keeps the events in `folder` under the name of the run, which no
/// other one has.
fn run_one(
    program: &Program<'_>,
    arguments: &[String],
    folder: &Path,
    experiment: Name,
    name: &str,
) -> Result<Run> {
    let model = folder.join(file_name(&shown(experiment), name));
    let run = program.train(arguments, &model)?.run;
    fs::remove_file(&model).map_err(Error::file("remove", &model))?;
    Ok(run)
}

/// Trains on a few sentences, for what a run says of the machine.
fn short_run(program: &Program<'_>, folder: &Path) -> Result<Run> {
    let train = folder.join("machine.txt");
    program.generate(20, 1, &train)?;
    let arguments = ["crf", "--passes", "1", "--train"].map(str::to_owned).into_iter();
    let arguments: Vec<String> = arguments.chain([train.display().to_string()]).collect();
    Ok(program.train(&arguments, &folder.join("machine.safetensors"))?.run)
}

fn file_name(experiment: &str, run: &str) -> String {
    let plain = run.to_lowercase().replace(", ", "-").replace(' ', "-");
    format!("{experiment}-{plain}.safetensors")
}

fn print(made: &Made) {
    for results in &made.all {
        println!("\n{}\n\n{}", results.experiment.title, page::table(results));
        for line in page::verdicts(results) {
            println!("{line}");
        }
    }
    made.studies.iter().for_each(Study::print);
    if let Some(measured) = &made.end_to_end {
        println!("\n{}", end_to_end::table(measured));
    }
}

fn write(out: &Path, host: &Host, settings: &Settings, made: &Made) -> Result<()> {
    let Made { all, studies, end_to_end } = made;
    let end_to_end = end_to_end.as_ref();
    let everything = Everything { host, settings, experiments: all, studies, end_to_end };
    let json = serde_json::to_string_pretty(&everything).expect("numbers and strings are JSON");
    let path = out.join("results.json");
    fs::write(&path, json).map_err(Error::file("write", &path))?;
    let path = out.join("report.html");
    let what = path.display().to_string();
    let page = page::page(host, settings, made);
    page.write(&path).map_err(|source| Error::Report { what: what.clone(), source })?;
    println!("The page: {what}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Cli::parse_from(line.split(' ')).args
    }

    #[test]
    fn the_command_line_is_told_as_it_was_given() {
        let line = "cargo xtask reproduce --quick --only crf-chunk,crf-np --seeds 2 --threads 1,2";
        let args = parse(&line.replace("cargo xtask ", ""));
        assert_eq!(command(&args), line);
        assert_eq!(settings(&args).n_seeds, 2);
    }

    #[test]
    fn threads_are_sorted_and_start_with_one_and_two() {
        assert_eq!(settings(&parse("reproduce --threads 4,1,4")).threads, [1, 4]);
        assert_eq!(settings(&parse("reproduce")).threads[..2], [1, 2]);
    }
}
