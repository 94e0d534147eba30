//! The files of the experiments, in the form that `asyn train` reads: those of the corpora, or
//! what is made of them in the folder of the runs.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::brown;
use super::experiment::Name;
use super::program::Program;
use super::shown;
use crate::error::{Error, Result};

/// The Brown corpus under `ASYN_DATA`.
pub(super) const BROWN: &str = "brown/brown.tagged.txt.gz";

/// The share of the Weibo text that the source trains on; its test is the rest.
const WEIBO_TRAIN: &str = "60%";

/// The sentences of planted corpora for Bi-LSTMs, which are slow.
const N_TRAIN: u32 = 2000;
const N_TEST: u32 = 500;

/// Returns the files under `ASYN_DATA` that an experiment is made of: the training part and the
/// test, or one file that is cut in two.
fn sources(name: Name) -> &'static [&'static str] {
    match name {
        Name::CrfPosBrown | Name::LstmPosBrown => &[BROWN],
        Name::CrfPos | Name::LstmPosEwt => {
            &["ud-english-ewt/en_ewt-ud-train.conllu.gz", "ud-english-ewt/en_ewt-ud-test.conllu.gz"]
        }
        Name::CrfSeg | Name::LstmSeg => &[
            "sighan2005-msr-part/msr_train-last10pct.norm.utf8",
            "sighan2005-msr-part/msr_test_gold.norm.utf8",
        ],
        Name::LstmSegGsd => &["ud-chinese-gsd/zh_gsd-train.tsv", "ud-chinese-gsd/zh_gsd-test.tsv"],
        // It is given to those who sign an agreement, so its name is that of its owners.
        Name::LstmSegWeibo => &["weibo/nlpcc2016-word-seg-train.dat"],
        Name::CrfNer => &["conll2002-esp/esp.train.gz", "conll2002-esp/esp.testb"],
        _ => &["conll2000/train.txt.gz", "conll2000/test.txt"],
    }
}

/// Returns the training file and the test of an experiment on a corpus in the folder `data`.
pub(super) fn files(
    name: Name,
    data: &Path,
    program: &Program<'_>,
    folder: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let paths: Vec<PathBuf> = sources(name).iter().map(|file| data.join(file)).collect();
    if let Some(path) = paths.iter().find(|path| !path.is_file()) {
        return Err(Error::NoCorpus { path: path.clone() });
    }
    let (train, test) = (&paths[0], &paths[paths.len() - 1]);
    let columns = |file: &Path, format: &str, part: &str| {
        program.convert(file, format, &folder.join(format!("{}-{part}.txt", shown(name))))
    };
    Ok(match name {
        Name::CrfPosBrown | Name::LstmPosBrown => brown::prepare(train, folder)?,
        Name::CrfPos | Name::LstmPosEwt => {
            (columns(train, "conllu", "train")?, columns(test, "conllu", "test")?)
        }
        Name::CrfSeg | Name::LstmSeg => {
            (columns(train, "segmented", "train")?, columns(test, "segmented", "test")?)
        }
        Name::LstmSegGsd => {
            let [train, test] = [(train, "train"), (test, "test")].map(|(file, part)| {
                let words = write(folder, &format!("words-{part}.txt"), &words(&read(file)?))?;
                columns(&words, "segmented", part)
            });
            (train?, test?)
        }
        Name::LstmSegWeibo => {
            let [first, rest] = ["train", "test"].map(|part| folder.join(format!("weibo-{part}")));
            program.cut(train, WEIBO_TRAIN, &first, &rest)?;
            (columns(&first, "segmented", "train")?, columns(&rest, "segmented", "test")?)
        }
        Name::LstmPos => parts_of_speech(data, folder)?,
        _ => (train.clone(), test.clone()),
    })
}

/// Plants the training file and the test of an experiment with a Bi-LSTM, for where there are no
/// corpora: chunks, the parts of speech of their words, or the words, which are to be found in
/// their letters.
pub(super) fn planted(
    name: Name,
    program: &Program<'_>,
    folder: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let plant = |part: &str, sentences: u32, seed: u32| {
        let name = format!("{}-planted-{part}.txt", shown(name));
        let path = folder.join(&name);
        program.generate(sentences, seed, &path)?;
        Ok::<_, Error>((name, path))
    };
    let [train, test] = [plant("train", N_TRAIN, 1)?, plant("test", N_TEST, 2)?];
    let made = |(file, path): (String, PathBuf)| match name {
        Name::LstmPos => write(folder, &format!("pos-{file}"), &first_two_columns(&read(&path)?)),
        Name::LstmSeg => {
            let words = write(folder, &format!("words-{file}"), &words(&read(&path)?))?;
            program.convert(&words, "segmented", &folder.join(format!("letters-{file}")))
        }
        _ => Ok(path),
    };
    Ok((made(train)?, made(test)?))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(path)
}

fn conll2000(data: &Path) -> (PathBuf, PathBuf) {
    let corpus = data.join("conll2000");
    (corpus.join("train.txt.gz"), corpus.join("test.txt"))
}

/// Writes the words and parts of speech of CoNLL-2000, for training and for the test.
pub(crate) fn parts_of_speech(data: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (train, test) = conll2000(data);
    let made = |file: &Path, part: &str| {
        write(folder, &format!("conll2000-pos-{part}.txt"), &first_two_columns(&read(file)?))
    };
    Ok((made(&train, "train")?, made(&test, "test")?))
}

/// Writes the first `n_sentences` of `train` into a file of their own.
pub(super) fn sample(train: &Path, n_sentences: usize, folder: &Path) -> Result<PathBuf> {
    let text = read(train)?;
    let sentences = text.split("\n\n").filter(|sentence| !sentence.trim().is_empty());
    let first: String =
        sentences.take(n_sentences).map(|sentence| format!("{}\n\n", sentence.trim())).collect();
    write(folder, &format!("sample-{n_sentences}.txt"), &first)
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

/// Returns the words of columns as segmented text: a sentence a line, with spaces between words.
fn words(text: &str) -> String {
    let sentences = text.split("\n\n").filter(|sentence| !sentence.trim().is_empty());
    let words = |sentence: &str| {
        let words: Vec<&str> =
            sentence.lines().filter_map(|line| line.split_whitespace().next()).collect();
        words.join(" ") + "\n"
    };
    sentences.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

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
        assert_eq!(words(text), "He ran\nStop\n");
    }

    #[test]
    fn a_corpus_that_is_not_there_is_told() {
        let workspace = Workspace::find().unwrap();
        let program = Program::unbuilt(&workspace);
        let folder = tempfile::tempdir().unwrap();
        let error = files(Name::LstmSegWeibo, folder.path(), &program, folder.path()).unwrap_err();
        assert!(error.is_lack_of_data());
        assert!(error.to_string().contains("nlpcc2016-word-seg-train.dat"), "{error}");
    }
}
