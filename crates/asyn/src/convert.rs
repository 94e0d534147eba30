//! `asyn convert`.
//!
//! A corpus is read in one format, its labels are spelt in another tag scheme where that is asked
//! for, and it is written in another format. Words of plain text and of CoNLL-U make segmented text
//! as they are, and segmented text gives its words to both; between segmented text and columns the
//! labels of characters stand for the words.

use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use asyn::data::{
    Conllu, Corpus, Encoded, Encoder, Error, Field, Format, Scheme, VocabularyOptions,
    write_attributes, write_conllu, write_plain, write_segmented,
};
use clap::Args;

use crate::data::{default_template, find_template};
use crate::failure::Failure;
use crate::format::{Fields, FormatChoice, SchemeChoice, format_of, options_of};
use crate::progress::Talk;
use crate::run_folder::{check_target, write_whole};
use crate::settings::all_cores;

/// How many repairs are shown.
const SHOWN: usize = 5;

/// The fields that the columns of other formats go into, unless told otherwise.
const FIELDS: [Field; 3] = [Field::Form, Field::Upos, Field::Xpos];

/// The flags of `convert`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  asyn convert --scheme iobes train.txt -o train.iobes.txt
  asyn convert dev.conllu.gz --to columns --columns FORM,XPOS,UPOS -o dev.txt
  asyn convert --from segmented --to columns --scheme iob2 train.seg -o train.txt
  asyn convert train.txt --to crfsuite -p chunking -o train.crfsuite
  asyn convert wsj_0200.mrg --to columns -o pos.txt
  asyn convert --from segmented weibo.txt --first 60% -o train.seg --rest test.seg")]
pub(crate) struct ConvertArgs {
    /// File to convert, plain or gzipped; - or nothing for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Format of the input [default: by the ending of its name, otherwise columns].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) from: Option<FormatChoice>,
    /// Format of the output [default: by the ending of its name, otherwise that of the input].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: Option<FormatChoice>,
    /// Tag scheme of the output [default: that of the input; bmes for characters].
    #[arg(long, value_enum)]
    pub(crate) scheme: Option<SchemeChoice>,
    /// Tag scheme of the input [default: the one that needs the fewest repairs].
    #[arg(long, value_enum, value_name = "SCHEME")]
    pub(crate) from_scheme: Option<SchemeChoice>,
    /// Fields of CoNLL-U that are the columns, the label last [default: FORM,UPOS].
    #[arg(long, value_name = "FIELD,...")]
    pub(crate) columns: Option<Fields>,
    /// Templates of the attributes that are written for CRFsuite, as for `train crf`.
    #[arg(short = 'p', long, value_name = "NAME|FILE")]
    pub(crate) template: Option<String>,
    /// Where the corpus is written; - for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// Writes the first share of the sentences alone.
    #[arg(long, value_name = "60%", value_parser = percent)]
    pub(crate) first: Option<f64>,
    /// Where the other sentences are written.
    #[arg(long, value_name = "FILE", requires = "first")]
    pub(crate) rest: Option<PathBuf>,
}

/// Reads a share in percent.
fn percent(text: &str) -> Result<f64, String> {
    let found = text.strip_suffix('%').and_then(|number| number.parse().ok());
    let found = found.filter(|percent| (0.0..=100.0).contains(percent));
    found
        .map(|percent: f64| percent / 100.0)
        .ok_or_else(|| "expected a share such as 60%".to_owned())
}

/// Converts a corpus, and says how many labels had to be repaired.
pub(crate) fn run(args: &ConvertArgs, talk: Talk) -> Result<(), Failure> {
    let targets = [Some(&args.out), args.rest.as_ref()].into_iter().flatten();
    for target in targets.clone().filter(|target| *target != Path::new("-")) {
        check_target(target)?;
    }
    let mut from = format_of(&args.file, args.from);
    let to = args.to.map(Format::from).or_else(|| Format::of_path(&args.out)).unwrap_or(from);
    if from == Format::Segmented && matches!(to, Format::Text | Format::Conllu) {
        from = Format::Text;
    }
    check(args, from, to)?;
    let mut options = options_of(args.columns.as_ref());
    if let (Format::Segmented, Some(scheme)) = (from, args.scheme) {
        options.scheme = scheme.into();
    }
    let (conllu, mut corpus) = if from == Format::Conllu {
        let conllu = Conllu::open(&args.file)?;
        let corpus = conllu.corpus(&options.fields)?;
        (Some(conllu), corpus)
    } else {
        (None, from.open(&args.file, &options)?)
    };
    let joins = from == Format::Columns && to == Format::Segmented;
    if from != Format::Segmented && (joins || args.scheme.is_some() || args.from_scheme.is_some()) {
        respell(args, &mut corpus, talk)?;
    }
    let parts = match args.first {
        None => vec![corpus],
        Some(share) => {
            let (first, rest) = corpus.cut(share);
            if first.n_sentences() == 0 || rest.n_sentences() == 0 {
                let (percent, n) = (100.0 * share, corpus.n_sentences());
                let problem = format!("--first {percent}% leaves nothing of {n} sentences");
                return Err(Failure::Usage(problem));
            }
            vec![first, rest]
        }
    };
    // All of them before the first is written.
    let written = parts.iter().map(|part| write(args, from, to, part, conllu.as_ref()));
    let written = written.collect::<Result<Vec<_>, _>>()?;
    for (target, written) in targets.zip(&written) {
        if target == Path::new("-") {
            stdout().write_all(written).map_err(|source| Failure::Output { source })?;
        } else {
            write_whole(target, written)?;
        }
    }
    Ok(())
}

/// Writes a corpus into memory.
fn write(
    args: &ConvertArgs,
    from: Format,
    to: Format,
    corpus: &Corpus,
    conllu: Option<&Conllu>,
) -> Result<Vec<u8>, Failure> {
    let options = options_of(args.columns.as_ref());
    let joins = from == Format::Columns && to == Format::Segmented;
    let mut written = Vec::new();
    match (to, conllu) {
        (Format::Columns, _) => {
            if from != Format::Columns {
                corpus.check_cells(corpus.n_columns(), |c| c == ' ' || c == '\t')?;
            }
            corpus.write(&mut written)
        }
        (Format::Conllu, Some(conllu)) => {
            let field = options.fields[options.fields.len() - 1];
            let labels = corpus.sentences().flat_map(|sentence| sentence.labels());
            conllu.write_with(field, labels, &mut written)
        }
        (Format::Conllu, None) => {
            let fields = fields(args, corpus)?;
            write_conllu(corpus, &fields, &mut written)
        }
        (Format::Segmented, None) if joins || from == Format::Segmented => {
            write_segmented(corpus, &mut written)
        }
        (Format::Segmented | Format::Text, _) => {
            corpus.check_cells(1, char::is_whitespace)?;
            write_plain(corpus, &mut written)
        }
        (Format::Crfsuite, _) if from == Format::Crfsuite => {
            write_given_attributes(corpus, &mut written)
        }
        (Format::Trees, _) => unreachable!("trees are not written"),
        (Format::Crfsuite, _) => {
            let (encoder, examples) = encode(args, from, corpus)?;
            write_made_attributes(&encoder, &examples, &mut written)
        }
    }
    .expect("memory takes whatever is written");
    Ok(written)
}

/// Refuses flags and formats that do not go together.
fn check(args: &ConvertArgs, from: Format, to: Format) -> Result<(), Failure> {
    let makes_words = to == Format::Text || (to == Format::Segmented && from == Format::Conllu);
    let has_labels = from != Format::Text && !makes_words;
    let problem = if from == Format::Crfsuite && !matches!(to, Format::Crfsuite | Format::Columns) {
        "files of CRFsuite have attributes and no words: they become columns or nothing"
    } else if !has_labels && (args.scheme.is_some() || args.from_scheme.is_some()) {
        "--scheme and --from-scheme are for labels, and words have none"
    } else if from == Format::Segmented && args.from_scheme.is_some() {
        "--from-scheme is for labels, and the words of segmented text have none yet"
    } else if args.template.is_some() && (to != Format::Crfsuite || from == Format::Crfsuite) {
        "--template is for attributes that are made for CRFsuite"
    } else if args.columns.is_some() && from != Format::Conllu && to != Format::Conllu {
        "--columns is for CoNLL-U"
    } else if to == Format::Trees {
        "trees can be read, but not written: --to names another format"
    } else if args.first.is_some() && from == Format::Conllu && to == Format::Conllu {
        "--first is for other formats: CoNLL-U comes out as it went in"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(problem.to_owned()))
}

/// Spells the labels in the scheme that is asked for, and says what had to be repaired.
fn respell(args: &ConvertArgs, corpus: &mut Corpus, talk: Talk) -> Result<(), Failure> {
    // Where the labels are of no scheme, looking for repairs finds the line that says so.
    let guess = || Scheme::of_corpus(corpus).unwrap_or(Scheme::Iob2);
    let from = args.from_scheme.map_or_else(guess, Scheme::from);
    let to = args.scheme.map_or(from, Scheme::from);
    let repairs = from.repairs(corpus)?;
    for repair in repairs.iter().take(SHOWN) {
        talk.say(&format!("{}:{repair}", corpus.name()));
    }
    let shown =
        if repairs.len() > SHOWN { format!(", the first {SHOWN} above") } else { String::new() };
    let (name, n, s) = (corpus.name(), repairs.len(), if repairs.len() == 1 { "" } else { "s" });
    talk.say(&format!("{name}: {} to {}, {n} repair{s}{shown}", from.name(), to.name()));
    Ok(to.convert(corpus)?)
}

/// Returns the fields that the columns go into.
fn fields(args: &ConvertArgs, corpus: &Corpus) -> Result<Vec<Field>, Failure> {
    let n_columns = corpus.n_columns();
    match &args.columns {
        Some(Fields(fields)) if fields.len() == n_columns => Ok(fields.clone()),
        None if n_columns <= FIELDS.len() => Ok(FIELDS[..n_columns].to_vec()),
        Some(named) => Err(Failure::Usage(format!(
            "--columns {named}: {} has {n_columns} columns",
            corpus.name()
        ))),
        None => Err(Failure::Usage(format!(
            "--columns is needed: which fields the {n_columns} columns of {} go into",
            corpus.name()
        ))),
    }
}

/// Makes the attributes of a template.
fn encode(
    args: &ConvertArgs,
    from: Format,
    corpus: &Corpus,
) -> Result<(Encoder, Vec<Encoded>), Failure> {
    if corpus.n_columns() < 2 {
        let (name, actual) = (corpus.name().to_owned(), corpus.n_columns());
        return Err(Error::Columns { name, expected: 2, actual }.into());
    }
    let name = args.template.clone().unwrap_or_else(|| default_template(from, corpus, false));
    let options = VocabularyOptions { threads: all_cores().get(), ..VocabularyOptions::default() };
    let template = find_template(&name, from, corpus.n_columns())?;
    Ok(Encoder::build(corpus, template, &options)?)
}

/// Writes attributes that a template made, those of a token by falling frequency.
fn write_made_attributes(
    encoder: &Encoder,
    examples: &[Encoded],
    mut output: impl Write,
) -> io::Result<()> {
    for example in examples {
        for (token, &label) in example.labels.iter().enumerate() {
            let attributes = example.attributes_of(token).iter();
            let texts: Vec<String> = attributes.map(|&id| encoder.attribute(id)).collect();
            let label = &encoder.labels()[usize::from(label)];
            write_attributes(label, texts.iter().map(String::as_str), &mut output)?;
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes attributes that were read.
fn write_given_attributes(corpus: &Corpus, mut output: impl Write) -> io::Result<()> {
    let n_attributes = corpus.n_columns() - 1;
    for sentence in corpus.sentences() {
        for (token, label) in sentence.labels().enumerate() {
            let attributes = sentence.token(token).take(n_attributes);
            write_attributes(label, attributes.filter(|cell| !cell.is_empty()), &mut output)?;
        }
        output.write_all(b"\n")?;
    }
    Ok(())
}
