//! The corpora of the experiments: what they are for, on which terms they may
//! be used, where their home is, and what their files must hold.
//!
//! The files of a corpus lie in the folder of its name under `ASYN_DATA`.
//! Their sums are in `sums.txt`. A sum is of the contents: the same text packs
//! to different bytes on different machines, so a `.gz` is unpacked first.

/// The sums of all files, as `sha256sum` prints them.
const SUMS: &str = include_str!("sums.txt");

/// One corpus.
#[derive(Debug)]
pub(super) struct Corpus {
    /// The name of the corpus and of its folder.
    pub(super) name: &'static str,
    /// What models learn from it.
    pub(super) task: &'static str,
    /// The terms that its source states.
    pub(super) terms: &'static str,
    /// Where people read about it.
    pub(super) home: &'static str,
    /// Where its files can be had one by one, if they can.
    pub(super) download: Option<Download>,
}

/// Where the files of a corpus can be had: at `folder`, followed by the name of
/// the file without `.gz`, followed by `suffix`.
#[derive(Debug)]
pub(super) struct Download {
    folder: &'static str,
    suffix: &'static str,
}

/// One file of a corpus.
#[derive(Clone, Copy, Debug)]
pub(super) struct CorpusFile {
    /// Where it lies under `ASYN_DATA`.
    pub(super) path: &'static str,
    /// The SHA-256 of its contents, in hexadecimal.
    pub(super) sum: &'static str,
}

/// All corpora, by name.
pub(super) const CORPORA: &[Corpus] = &[
    Corpus {
        name: "amazon-reviews",
        task: "sentiment of product reviews, English",
        terms: "none stated; cite Blitzer et al. (2007)",
        home: "https://www.cs.jhu.edu/~mdredze/datasets/sentiment/",
        download: None,
    },
    Corpus {
        name: "brown",
        task: "part-of-speech tagging, English",
        terms: "redistribution permitted; non-commercial purposes",
        home: "https://www.nltk.org/nltk_data/",
        download: None,
    },
    Corpus {
        name: "conll2000",
        task: "chunking, English",
        terms: "none stated; shared-task data from the Wall Street Journal",
        home: "https://www.cnts.ua.ac.be/conll2000/chunking/",
        download: Some(Download {
            folder: "https://www.cnts.ua.ac.be/conll2000/chunking/",
            suffix: ".gz",
        }),
    },
    Corpus {
        name: "conll2002-esp",
        task: "named-entity recognition, Spanish",
        terms: "only for research applications in the context of the shared task",
        home: "https://www.cnts.ua.ac.be/conll2002/ner/",
        download: None,
    },
    Corpus {
        name: "europarl-es-en",
        task: "word alignment, Spanish and English",
        terms: "none stated; Europarl knows of no copyright restrictions",
        home: "https://www.statmt.org/europarl/",
        download: None,
    },
    Corpus {
        name: "hansards",
        task: "word alignment, French and English",
        terms: "none stated; data of the HLT-NAACL 2003 shared task",
        home: "http://www.eecs.umich.edu/~mihalcea/wpt/",
        download: None,
    },
    Corpus {
        name: "mnist",
        task: "classes of images of digits",
        terms: "none stated (LeCun, Cortes, Burges)",
        home: "http://yann.lecun.com/exdb/mnist/",
        download: Some(Download { folder: "http://yann.lecun.com/exdb/mnist/", suffix: ".gz" }),
    },
    Corpus {
        name: "multi30k",
        task: "translation of image descriptions, English, German and French",
        terms: "non-commercial research and education",
        home: "https://github.com/multi30k/dataset",
        download: Some(Download {
            folder: "https://github.com/multi30k/dataset/raw/master/data/task1/tok/",
            suffix: "",
        }),
    },
    Corpus {
        name: "sighan2005-msr-part",
        task: "word segmentation, Chinese",
        terms: "for the purposes of the bakeoff only; its page says available for research use",
        home: "http://sighan.cs.uchicago.edu/bakeoff2005/",
        download: None,
    },
    Corpus {
        name: "ud-chinese-gsd",
        task: "word segmentation and part-of-speech tagging, Chinese",
        terms: "a release of Universal Dependencies; later ones are CC BY-SA 4.0",
        home: "https://universaldependencies.org/treebanks/zh_gsd/",
        download: None,
    },
    Corpus {
        name: "ud-english-ewt",
        task: "part-of-speech tagging, English",
        terms: "CC BY-SA 4.0",
        home: "https://universaldependencies.org/treebanks/en_ewt/",
        download: None,
    },
];

/// Returns the names of all corpora.
pub(super) fn names() -> Vec<&'static str> {
    CORPORA.iter().map(|corpus| corpus.name).collect()
}

impl Corpus {
    /// Returns the files of the corpus.
    pub(super) fn files(&self) -> impl Iterator<Item = CorpusFile> {
        let is_ours = |file: &CorpusFile| {
            let folder = file.path.split('/').next();
            folder == Some(self.name)
        };
        all_files().filter(is_ours)
    }
}

impl Download {
    /// Returns the address of `file`.
    pub(super) fn address(&self, file: CorpusFile) -> String {
        let (_, name) = file.path.split_once('/').expect("a path has a folder");
        let stem = name.strip_suffix(".gz").unwrap_or(name);
        format!("{}{stem}{}", self.folder, self.suffix)
    }
}

fn all_files() -> impl Iterator<Item = CorpusFile> {
    SUMS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (sum, path) = line.split_once("  ").expect("a sum, two spaces, a path");
        CorpusFile { path, sum }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_corpus_has_files_and_every_file_a_corpus() {
        assert!(CORPORA.iter().all(|corpus| corpus.files().count() > 0));
        let n_files: usize = CORPORA.iter().map(|corpus| corpus.files().count()).sum();
        assert_eq!(n_files, all_files().count());
    }

    #[test]
    fn every_sum_is_a_sha256() {
        let is_hex = |sum: &str| sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit());
        assert!(all_files().all(|file| is_hex(file.sum)));
    }

    #[test]
    fn an_address_is_that_of_the_file_as_its_home_packs_it() {
        let addresses = |name: &str| -> Vec<String> {
            let corpus = CORPORA.iter().find(|corpus| corpus.name == name).unwrap();
            let download = corpus.download.as_ref().unwrap();
            corpus.files().map(|file| download.address(file)).collect()
        };
        let conll2000 = addresses("conll2000");
        assert!(conll2000[0].ends_with("/chunking/test.txt.gz"));
        assert!(conll2000[1].ends_with("/chunking/train.txt.gz"));
        assert!(addresses("multi30k")[3].ends_with("/train.lc.norm.tok.de"));
    }
}
