//! `asyn import`.
//!
//! A model of another program becomes one of `asyn`, which labels as that program does: it keeps to no
//! tag scheme that the program did not keep to.

use std::fs;
use std::path::PathBuf;

use asyn::Tagger;
use asyn::data::{import_crfpp, import_crfsuite, open_text};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::progress::Talk;
use crate::run_folder::check_target;

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// The binary model of CRFsuite.
    Crfsuite,
    /// The text model that crf_learn -t of CRF++ writes, which ends in .txt.
    #[value(name = "crf++")]
    Crfpp,
}

/// The flags of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn import --from crfsuite old.crfsuite -o new.safetensors
  asyn import --from crf++ model.txt -o new.safetensors")]
pub(crate) struct ImportArgs {
    /// The model of the other program.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The program that made it.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub(crate) from: Program,
    /// Where the model is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Most attributes of a token that a model of CRFsuite will be asked about.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) attributes: u16,
}

/// Reads the model and writes it.
pub(crate) fn run(args: &ImportArgs, talk: Talk) -> Result<(), Failure> {
    check_target(&args.out)?;
    let name = args.file.display().to_string();
    let (program, model) = match args.from {
        Program::Crfsuite => {
            let bytes = fs::read(&args.file).map_err(Failure::io("read", &args.file))?;
            ("CRFsuite", import_crfsuite(&name, &bytes, usize::from(args.attributes))?)
        }
        Program::Crfpp => ("CRF++", import_crfpp(&name, &open_text(&args.file)?)?),
    };
    let tagger = Tagger::imported(model)?;
    let facts = [
        ("training", format!("by {program}, imported from {name}")),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    tagger.save(&args.out, facts.map(|(name, value)| (name.to_owned(), value)).into())?;
    let encoder = tagger.encoder();
    let (n_labels, n_attributes) = (encoder.labels().len(), encoder.n_attributes());
    talk.say(&format!("{}: {n_labels} labels, {n_attributes} attributes", args.out.display()));
    Ok(())
}
