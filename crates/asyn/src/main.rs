//! The command `asyn`: trains, tags and scores from the command line.
//!
//! `args` holds what was typed, `data` and `plan` turn it into data, model, strategy and update, and
//! one file a verb does the task. Standard output carries data only; standard error is for people.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to people")]

mod agreement;
mod align;
mod align_args;
mod align_train;
mod answer;
mod args;
mod checkpoint;
mod choice;
mod convert;
mod corpus_blocks;
mod cv;
mod data;
mod defaults;
mod doctor;
mod dump;
mod em_run;
mod eval;
mod event;
mod failure;
mod forecast;
mod format;
mod generate;
mod import;
mod info;
mod interrupt;
mod long_sentences;
mod machine;
mod measure;
mod network;
mod plan;
mod progress;
mod races;
mod rate;
mod recording;
mod replay;
mod report;
mod rules;
mod run_folder;
mod scored;
mod segment;
mod settings;
mod states;
mod tag;
mod train;
mod train_args;
mod tune;
mod watch;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::args::{Cli, DoctorVerb, GenVerb, TrainVerb, Verb};
use crate::cv::CvVerb;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::tune::TuneVerb;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = Cli::parse();
    let talk = Talk::new(cli.quiet, cli.verbose);
    match run(&cli.verb, talk, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("asyn: {}", failure.line());
            ExitCode::from(failure.status())
        }
    }
}

fn run(verb: &Verb, talk: Talk, started: Instant) -> Result<(), Failure> {
    if let Err(refusal) = asyn::core::shared::isa_request() {
        talk.warn(&refusal);
    }
    match verb {
        Verb::Train(TrainVerb::Crf(args)) => train::run(&**args, talk, started),
        Verb::Train(TrainVerb::BiLstm(args)) => train::run(&**args, talk, started),
        Verb::Train(TrainVerb::Hmm(args)) => states::train(args, talk),
        Verb::Tune(TuneVerb::Crf(args)) => tune::run(args, talk),
        Verb::Tune(TuneVerb::BiLstm(args)) => tune::run(args, talk),
        Verb::Cv(CvVerb::Crf(args)) => cv::run(args, talk),
        Verb::Cv(CvVerb::BiLstm(args)) => cv::run(args, talk),
        Verb::Replay(args) => replay::run(args, talk),
        Verb::Measure(TrainVerb::Crf(args)) => measure::run(&**args, talk, started),
        Verb::Measure(TrainVerb::BiLstm(args)) => measure::run(&**args, talk, started),
        Verb::Measure(TrainVerb::Hmm(_)) => {
            Err(Failure::Usage("measure is for crf and bilstm".to_owned()))
        }
        Verb::Doctor(DoctorVerb::Async(args)) => doctor::run(args, talk),
        Verb::Doctor(DoctorVerb::Data(args)) => doctor::data::run(args),
        Verb::Tag(args) => tag::run(args, talk),
        Verb::Segment(args) => segment::run(args, talk),
        Verb::Align(args) => align::run(args, talk),
        Verb::Eval(args) => eval::run(args),
        Verb::Convert(args) => convert::run(args, talk),
        Verb::Import(args) => import::run(args, talk),
        Verb::Info(args) => info::run(args),
        Verb::Dump(args) => dump::run(args),
        Verb::Gen(GenVerb::Chunking(args)) => generate::run(args, talk),
    }
}
