//! A folder to run the command in.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder of one test, removed at its end.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Makes a folder with a planted corpus `train.txt` of `n_sentences`.
    pub(crate) fn with_corpus(n_sentences: usize) -> Self {
        let place = Self::new();
        place.write("train.txt", asyn::data::planted::chunking(n_sentences, 7).text());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Returns the names of all files and folders here, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns the command with the words of `line`, to be run here.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asyn"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs the command with a text on standard input.
    pub(crate) fn run_on(&self, line: &str, input: impl AsRef<[u8]>) -> Output {
        let mut command = self.command(line);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses its input early closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        child.wait_with_output().unwrap()
    }

    /// Runs the command, which has to succeed, and returns its standard output.
    #[track_caller]
    pub(crate) fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "asyn {line}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Returns what the command said on standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks that the command ended with a status and one line about the cause, and wrote no data.
#[track_caller]
pub(crate) fn assert_fails(output: &Output, status: i32, cause: &str) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(errors.contains(cause), "{errors:?} does not say {cause:?}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    // What clap says about usage takes several lines.
    if status != 2 {
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
