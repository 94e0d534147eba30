//! The folder that `--run` makes.
//!
//! | Name                           | Content                                          |
//! | ------------------------------ | ------------------------------------------------ |
//! | `config.toml`                  | the settings, all of them                        |
//! | `metrics.jsonl`                | the events, one a line                           |
//! | `model.safetensors`            | the model, once the run has ended or was stopped |
//! | `checkpoint/state.safetensors` | what the run needs to go on                      |
//! | `report.html`                  | the run as a page                                |

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A run directory.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Names a folder for a new run; refuses one that holds a run.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        if folder.config().exists() {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "{path} holds a run already: --resume {path} goes on with it"
            )));
        }
        Ok(folder)
    }

    /// Names a folder that holds a run.
    pub(crate) fn of_run(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the folder and its parts, and writes the settings.
    pub(crate) fn create(&self, settings: &str) -> Result<(), Failure> {
        let checkpoint = self.path.join("checkpoint");
        fs::create_dir_all(&checkpoint).map_err(Failure::io("create", &checkpoint))?;
        write_whole(&self.config(), settings.as_bytes())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint").join("state.safetensors")
    }
}

/// Writes a file beside `path` and puts it in its place, so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    check_target(path)?;
    let failure = Failure::io("write", path);
    let Some(name) = path.file_name() else {
        return Err(failure(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let partial = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
    let partial = path.with_file_name(partial);
    let written = fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(|error| {
        // What matters is the first error; where nothing was created there is nothing to remove.
        let _ = fs::remove_file(&partial);
        failure(error)
    })
}

/// Refuses, before any work is done, a target that could not be replaced at its end.
pub(crate) fn check_target(path: &Path) -> Result<(), Failure> {
    let failure = Failure::io("write", path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match fs::metadata(folder.unwrap_or(Path::new("."))) {
        Ok(folder) if !folder.is_dir() => {
            return Err(failure(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(_) => {}
        Err(error) => return Err(failure(error)),
    }
    match fs::metadata(path) {
        Ok(target) if !target.is_file() => {
            Err(failure(io::Error::other("it is there and is not a plain file")))
        }
        _ => Ok(()),
    }
}
