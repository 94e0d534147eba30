//! The files of the experiments, in the form that `asyn train` reads: those of the corpora, or
//! what is made of them in the folder of the runs.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::brown;
use super::experiment::Name;
use super::program::Program;
use crate::error::{Error, Result};

/// Returns the training file and the test of an experiment on a corpus in the folder `data`.
pub(super) fn files(
    name: Name,
    data: &Path,
    program: &Program<'_>,
    folder: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let (train, test) = match name {
        Name::CrfPosBrown => brown::prepare(data, folder)?,
        Name::CrfPos => {
            let corpus = data.join("ud-english-ewt");
            let convert = |part: &str| {
                let file = corpus.join(format!("en_ewt-ud-{part}.conllu.gz"));
                program.convert(&file, "conllu", &folder.join(format!("ewt-{part}.txt")))
            };
            (convert("train")?, convert("test")?)
        }
        Name::CrfSeg | Name::LstmSeg => {
            let corpus = data.join("sighan2005-msr-part");
            let convert = |file: &str, name: &str| {
                program.convert(&corpus.join(file), "segmented", &folder.join(name))
            };
            (
                convert("msr_train-last10pct.norm.utf8", "msr-train.txt")?,
                convert("msr_test_gold.norm.utf8", "msr-test.txt")?,
            )
        }
        Name::CrfNer => {
            let corpus = data.join("conll2002-esp");
            (corpus.join("esp.train.gz"), corpus.join("esp.testb"))
        }
        Name::LstmPos => parts_of_speech(data, folder)?,
        _ => conll2000(data),
    };
    for file in [&train, &test] {
        fs::metadata(file).map_err(Error::file("find", file))?;
    }
    Ok((train, test))
}

fn conll2000(data: &Path) -> (PathBuf, PathBuf) {
    let corpus = data.join("conll2000");
    (corpus.join("train.txt.gz"), corpus.join("test.txt"))
}

/// Writes the words and parts of speech of CoNLL-2000, for training and for the test.
pub(crate) fn parts_of_speech(data: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (train, test) = conll2000(data);
    let write = |file: &Path, part: &str| {
        let path = folder.join(format!("conll2000-pos-{part}.txt"));
        let text = first_two_columns(&read(file)?);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        Ok(path)
    };
    Ok((write(&train, "train")?, write(&test, "test")?))
}

/// Writes the first `n_sentences` of `train` into a file of their own.
pub(super) fn sample(train: &Path, n_sentences: usize, folder: &Path) -> Result<PathBuf> {
    let text = read(train)?;
    let sentences = text.split("\n\n").filter(|sentence| !sentence.trim().is_empty());
    let first: String =
        sentences.take(n_sentences).map(|sentence| format!("{}\n\n", sentence.trim())).collect();
    let path = folder.join(format!("sample-{n_sentences}.txt"));
    fs::write(&path, first).map_err(Error::file("write", &path))?;
    Ok(path)
}

/// Reads a file, which may be compressed.
pub(crate) fn read(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let mut text = String::new();
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    let read = if is_compressed {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        { file }.read_to_string(&mut text)
    };
    read.map_err(Error::file("read", path))?;
    Ok(text)
}

pub(super) fn first_two_columns(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut columns = line.split_whitespace();
        match (columns.next(), columns.next()) {
            (Some(word), Some(tag)) => format!("{word} {tag}\n"),
            _ => "\n".to_owned(),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_first_sentences() {
        let folder = tempfile::tempdir().unwrap();
        let train = folder.path().join("train.txt");
        fs::write(&train, "a B-NP\nb I-NP\n\n".repeat(12)).unwrap();
        let sample = fs::read_to_string(sample(&train, 5, folder.path()).unwrap()).unwrap();
        assert_eq!(sample, "a B-NP\nb I-NP\n\n".repeat(5));
    }

    #[test]
    fn other_columns_are_left_out() {
        let text = "He PRP B-NP\nran VBD B-VP\n\nStop VB B-VP\n";
        assert_eq!(first_two_columns(text), "He PRP\nran VBD\n\nStop VB\n");
    }
}
