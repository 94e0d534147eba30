//! The parallel texts of the experiments, a file a side.

use std::fs;
use std::path::{Path, PathBuf};

use super::corpus;
use super::program::Program;
use crate::error::{Error, Result};
use crate::workspace::output;

/// The name of [`Parallel::spanish`].
pub(crate) const SPANISH: &str = "Europarl, Spanish and English";

/// Parallel text; the first pairs have gold links.
#[derive(Debug)]
pub(crate) struct Parallel {
    pub(crate) name: &'static str,
    pub(crate) left: PathBuf,
    pub(crate) right: PathBuf,
    pub(crate) gold: Option<PathBuf>,
}

impl Parallel {
    /// The test, trial and training parts of the Hansards, one after another.
    pub(crate) fn hansards(data: &Path, folder: &Path) -> Result<Self> {
        let corpus = data.join("hansards");
        let parts = ["test", "trial", "train"];
        let [left, right] = ["f", "e"].map(|side| join(&corpus, &parts, side, folder));
        let gold = Some(corpus.join("test.a"));
        Ok(Self { name: "Hansards, French and English", left: left?, right: right?, gold })
    }

    /// 200 pairs with gold links, and 10,000 others.
    pub(crate) fn spanish(data: &Path, folder: &Path) -> Result<Self> {
        let corpus = data.join("europarl-es-en");
        let parts = ["dev200", "train10k"];
        let [left, right] = ["es", "en"].map(|side| join(&corpus, &parts, side, folder));
        let gold = Some(corpus.join("dev200.a"));
        Ok(Self { name: SPANISH, left: left?, right: right?, gold })
    }

    /// The training part of Multi30k, without gold links.
    pub(crate) fn multi30k(data: &Path) -> Result<Self> {
        let side = |side: &str| {
            let path = data.join(format!("multi30k/train.lc.norm.tok.{side}.gz"));
            fs::metadata(&path).map_err(Error::file("find", &path))?;
            Ok::<_, Error>(path)
        };
        let (left, right) = (side("de")?, side("en")?);
        Ok(Self { name: "Multi30k, German and English", left, right, gold: None })
    }

    /// Planted text, which the example `em` writes.
    pub(crate) fn planted(example: &Program<'_>, folder: &Path) -> Result<Self> {
        output(example.command().arg("plant").arg(folder))?;
        let [left, right, gold] =
            ["left", "right", "links"].map(|part| folder.join(format!("planted.{part}")));
        Ok(Self { name: "planted", left, right, gold: Some(gold) })
    }
}

/// Writes parts of a corpus into one file.
fn join(corpus: &Path, parts: &[&str], side: &str, folder: &Path) -> Result<PathBuf> {
    let read = |part: &&str| corpus::read(&corpus.join(format!("{part}.{side}")));
    let text: String = parts.iter().map(read).collect::<Result<_>>()?;
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let path = folder.join(format!("{name}.{side}"));
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(path)
}
