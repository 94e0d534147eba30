//! Scores of `asyn eval` that are neither of chunks nor of tokens: alignments of words, and states
//! that were found without labels.

use std::io::{Write as _, stdout};
use std::path::Path;

use asyn::data::{
    AlignmentScore, Bitext, Clusters, Error, GoldLinks, open_scored, read_gold, read_links,
};
use serde_json::json;

use crate::args::EvalArgs;
use crate::failure::Failure;

/// Scores alignments against sure and possible links.
pub(crate) fn score_links(args: &EvalArgs) -> Result<(), Failure> {
    let Some(gold_path) = args.gold.as_deref() else {
        return Err(Failure::Usage(
            "--scorer aer needs --gold: sure and possible links".to_owned(),
        ));
    };
    let bitext = match &args.text[..] {
        [] => None,
        [both] => Some(Bitext::open(both)?),
        [left, right] => Some(Bitext::open_pair(left, right)?),
        _ => return Err(Failure::Usage("--text takes one file or two".to_owned())),
    };
    let gold = read_gold(gold_path, bitext.as_ref())?;
    let links = read_links(&args.file)?;
    check_lines(&args.file, links.len(), gold_path, &gold)?;
    let mut score = AlignmentScore::default();
    gold.iter().zip(&links).for_each(|(gold, links)| score.add(gold, links));
    let possible: usize = gold.iter().map(|gold| gold.possible.len()).sum();
    let (precision, recall) = (100.0 * score.precision(), 100.0 * score.recall());
    let aer = score.aer().map(|aer| 100.0 * aer);
    let text = if args.json {
        let report = json!({
            "pairs": gold.len(),
            "sure": score.sure,
            "possible": possible,
            "predicted": score.predicted,
            "precision": precision,
            "recall": recall,
            "aer": aer,
        });
        format!("{report}\n")
    } else {
        let aer = aer.map_or("not defined".to_owned(), |aer| format!("{aer:6.2}%"));
        format!(
            "processed {} pairs with {} sure and {possible} possible links; found: {} links.\n\
             precision: {precision:6.2}%; recall: {recall:6.2}%; AER: {aer}\n",
            gold.len(),
            score.sure,
            score.predicted,
        )
    };
    print(&text)
}

/// Scores states in the last column against gold tags in the one before.
pub(crate) fn score_states(args: &EvalArgs) -> Result<(), Failure> {
    let corpus = open_scored(&args.file)?;
    let (n_columns, name) = (corpus.n_columns(), corpus.name().to_owned());
    if n_columns < 2 {
        return Err(Error::Columns { name, expected: 2, actual: n_columns }.into());
    }
    let mut clusters = Clusters::default();
    for sentence in corpus.sentences() {
        for token in 0..sentence.len() {
            let column = |at| sentence.column(token, at);
            clusters.add(column(n_columns - 2), column(n_columns - 1));
        }
    }
    let percent = [clusters.many_to_one(), clusters.v_measure()].map(|share| 100.0 * share);
    let [many_to_one, v_measure] = percent;
    let (homogeneity, completeness) = (clusters.homogeneity(), clusters.completeness());
    let text = if args.json {
        let report = json!({
            "tokens": clusters.n_tokens(),
            "states": clusters.n_states(),
            "many_to_one": many_to_one,
            "v_measure": v_measure,
            "homogeneity": 100.0 * homogeneity,
            "completeness": 100.0 * completeness,
            "variation": clusters.variation(),
        });
        format!("{report}\n")
    } else {
        format!(
            "processed {} tokens with {} states.\n\
             many-to-one: {many_to_one:6.2}%; V-measure: {v_measure:6.2}%; variation of \
             information: {:.4} nats\n",
            clusters.n_tokens(),
            clusters.n_states(),
            clusters.variation(),
        )
    };
    print(&text)
}

/// Refuses alignments of more or fewer pairs than have gold links.
fn check_lines(
    file: &Path,
    n_lines: usize,
    gold_path: &Path,
    gold: &[GoldLinks],
) -> Result<(), Failure> {
    if n_lines == gold.len() {
        return Ok(());
    }
    let (name, other) = (file.display().to_string(), gold_path.display().to_string());
    let line = n_lines.min(gold.len()) as u64 + 1;
    Err(Error::Unpaired { name, line, other, n_lines: gold.len() as u64 }.into())
}

fn print(text: &str) -> Result<(), Failure> {
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}
