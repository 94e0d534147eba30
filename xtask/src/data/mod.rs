//! `cargo xtask data`: the corpora, which are not in the repository.
//!
//! | Verb     | What it does                                              |
//! | -------- | --------------------------------------------------------- |
//! | `list`   | names the corpora, their terms, and which are here        |
//! | `fetch`  | brings corpora, from a folder or from where they are kept |
//! | `verify` | compares what is here with the sums                       |
//!
//! All work on the folder that `ASYN_DATA` names. A file is compared with its
//! sum before it gets its name, so a file that is there is whole.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use self::corpora::{CORPORA, Corpus, CorpusFile};
use crate::error::{Error, Result};
use crate::workspace::{DATA_VARIABLE, Workspace, run as run_command};

mod contents;
mod corpora;

/// What `cargo xtask data` was asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    /// Names the corpora, their terms, and which are here.
    List,
    /// Brings corpora into the folder that ASYN_DATA names.
    Fetch(FetchArgs),
    /// Compares the corpora that are here with their sums.
    Verify {
        /// The corpora to compare; all that are here when none is named.
        #[arg(value_name = "NAME", value_parser = corpora::names())]
        names: Vec<String>,
    },
}

/// What to fetch, and from where.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// The corpora to fetch; all of them when a mirror is given and none is named.
    #[arg(value_name = "NAME", value_parser = corpora::names(), required_unless_present = "mirror")]
    names: Vec<String>,
    /// Copies from this folder instead of downloading.
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// Says that you have read the terms of the corpora and accept them.
    #[arg(long)]
    accept_terms: bool,
}

/// How a file compares with its sum.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Good,
    Missing,
    Damaged,
}

/// Runs the verb of `args`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    match args {
        Args::List => {
            list(workspace.data());
            Ok(())
        }
        Args::Fetch(args) => {
            let data = data(workspace)?;
            selected(&args.names).try_for_each(|corpus| fetch(workspace, data, corpus, args))
        }
        Args::Verify { names } => verify(data(workspace)?, names),
    }
}

fn data(workspace: &Workspace) -> Result<&Path> {
    workspace.data().ok_or(Error::DataUnset)
}

/// Returns the corpora of these names, or all where none is named.
fn selected(names: &[String]) -> impl Iterator<Item = &'static Corpus> {
    CORPORA
        .iter()
        .filter(move |corpus| names.is_empty() || names.iter().any(|name| name == corpus.name))
}

fn list(data: Option<&Path>) {
    for corpus in CORPORA {
        let n_files = corpus.files().count();
        let is_here = |file: &CorpusFile| data.is_some_and(|data| data.join(file.path).is_file());
        let n_here = corpus.files().filter(is_here).count();
        println!("{}: {}", corpus.name, corpus.task);
        println!("    terms  {}", corpus.terms);
        println!("    home   {}", corpus.home);
        println!("    here   {n_here} of {n_files} files");
    }
    match data {
        Some(data) => println!("The corpora are looked for in {}.", data.display()),
        None => println!("{DATA_VARIABLE} is not set, so no corpus is found."),
    }
}

/// Brings the files of `corpus` that are not here.
fn fetch(workspace: &Workspace, data: &Path, corpus: &Corpus, args: &FetchArgs) -> Result<()> {
    println!("{}: {}", corpus.name, corpus.home);
    println!("    terms  {}", corpus.terms);
    for file in corpus.files() {
        if state(data, file)? == State::Good {
            println!("    here   {}", file.path);
            continue;
        }
        let bytes = match &args.mirror {
            Some(mirror) => {
                let source = workspace.root().join(mirror).join(file.path);
                fs::read(&source).map_err(Error::file("read", &source))?
            }
            None => download(workspace, corpus, file, args.accept_terms)?,
        };
        let bytes =
            contents::pack_as(file.path, bytes).map_err(Error::file("unpack", file.path))?;
        store(data, file, &bytes)?;
        println!("    new    {}", file.path);
    }
    Ok(())
}

/// Downloads a file with curl.
fn download(
    workspace: &Workspace,
    corpus: &Corpus,
    file: CorpusFile,
    accepts_terms: bool,
) -> Result<Vec<u8>> {
    let Some(download) = &corpus.download else {
        return Err(Error::NoDownload { name: corpus.name, home: corpus.home });
    };
    if !accepts_terms {
        return Err(Error::TermsNotAccepted { name: corpus.name });
    }
    let scratch = tempfile::tempdir().map_err(Error::file("create", std::env::temp_dir()))?;
    let target = scratch.path().join("download");
    let mut curl = workspace.command("curl");
    curl.args(["--fail", "--location", "--silent", "--show-error"]);
    curl.args(["--max-time", "600", "--output"]).arg(&target);
    run_command(curl.arg(download.address(file)))?;
    fs::read(&target).map_err(Error::file("read", &target))
}

/// Writes a file whose contents have the right sum.
fn store(data: &Path, file: CorpusFile, bytes: &[u8]) -> Result<()> {
    let actual = contents::sum(bytes).map_err(Error::file("unpack", file.path))?;
    if actual != file.sum {
        return Err(Error::Checksum { path: file.path, expected: file.sum, actual });
    }
    let target = data.join(file.path);
    let folder = target.parent().expect("a corpus file lies in a folder");
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    // The name comes last, so that a file cut short never has it.
    let part = data.join(format!("{}.part", file.path));
    fs::write(&part, bytes).map_err(Error::file("write", &part))?;
    fs::rename(&part, &target).map_err(Error::file("rename", &part))
}

/// Compares the files of the named corpora, or of those that are here.
fn verify(data: &Path, names: &[String]) -> Result<()> {
    let mut n_bad = 0;
    for corpus in selected(names) {
        if names.is_empty() && !data.join(corpus.name).is_dir() {
            println!("{}: not here", corpus.name);
            continue;
        }
        for file in corpus.files() {
            let state = state(data, file)?;
            let word = match state {
                State::Good => "good",
                State::Missing => "MISSING",
                State::Damaged => "DAMAGED",
            };
            println!("{word:<8} {}", file.path);
            n_bad += usize::from(state != State::Good);
        }
    }
    match n_bad {
        0 => Ok(()),
        n_files => Err(Error::Corpora { n_files }),
    }
}

/// Compares a file with its sum. A file that cannot be unpacked is damaged.
fn state(data: &Path, file: CorpusFile) -> Result<State> {
    let path = data.join(file.path);
    if !path.is_file() {
        return Ok(State::Missing);
    }
    let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
    match contents::sum(&bytes) {
        Ok(sum) if sum == file.sum => Ok(State::Good),
        _ => Ok(State::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the contents "abc".
    const FILE: CorpusFile = CorpusFile {
        path: "toy/abc.txt",
        sum: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn a_file_gets_its_name_only_with_the_right_contents() {
        let data = tempfile::tempdir().unwrap();
        let error = store(data.path(), FILE, b"abd").unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }));
        assert_eq!(state(data.path(), FILE).unwrap(), State::Missing);

        store(data.path(), FILE, b"abc").unwrap();
        assert_eq!(state(data.path(), FILE).unwrap(), State::Good);

        fs::write(data.path().join(FILE.path), "ab").unwrap();
        assert_eq!(state(data.path(), FILE).unwrap(), State::Damaged);
    }

    #[test]
    fn no_name_selects_every_corpus() {
        assert_eq!(selected(&[]).count(), CORPORA.len());
        let names = ["brown".to_owned()];
        assert_eq!(selected(&names).next().unwrap().name, "brown");
        assert_eq!(selected(&names).count(), 1);
    }

    #[test]
    fn a_named_corpus_that_is_not_here_fails_to_verify() {
        let data = tempfile::tempdir().unwrap();
        assert!(verify(data.path(), &[]).is_ok());
        let error = verify(data.path(), &["conll2000".to_owned()]).unwrap_err();
        assert!(matches!(error, Error::Corpora { n_files: 2 }));
    }
}
