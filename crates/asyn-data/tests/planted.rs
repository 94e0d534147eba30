//! Planted corpora: the same everywhere, as hard as intended, and not easier.

use std::collections::BTreeMap;

use asyn_data::conlleval::{Counts, Score};
use asyn_data::{Corpus, planted};
use flate2::Crc;

/// Gives every tag the label that it has most often.
fn score_of_tags_alone(train: &Corpus, test: &Corpus) -> Score {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
    for sentence in train.sentences() {
        for (token, label) in sentence.labels().enumerate() {
            let tag = counts.entry(sentence.column(token, 1)).or_default();
            *tag.entry(label).or_default() += 1;
        }
    }
    let label = |tag: &str| *counts[tag].iter().max_by_key(|&(_, &count)| count).unwrap().0;
    let mut score = Counts::default();
    for sentence in test.sentences() {
        let predicted = (0..sentence.len()).map(|token| label(sentence.column(token, 1)));
        score.add(sentence.labels(), predicted);
    }
    score.score()
}

#[test]
fn a_seed_gives_the_same_bytes_on_every_machine() {
    let mut crc = Crc::new();
    crc.update(planted::chunking(200, 17).text().as_bytes());
    assert_eq!(crc.sum(), 3_909_121_267);
    let start = planted::chunking(20, 17).text().to_owned();
    assert!(planted::chunking(200, 17).text().starts_with(&start));
    assert_ne!(planted::chunking(20, 18).text(), start);
    assert_eq!(planted::chunking(0, 17).text(), "");
}

#[test]
fn the_best_score_is_that_of_a_task_which_is_neither_easy_nor_hopeless() {
    let train = planted::chunking(1000, 1);
    let (train_corpus, test) = (train.corpus(), planted::chunking(1000, 2).corpus());
    let best = train.best_score(&test);
    assert!((94.0..97.0).contains(&best.f1()), "{best}");
    assert_eq!(best.by_type.len(), 7);
    // Tags alone say much less, so words and neighbours are needed.
    let tags = score_of_tags_alone(&train_corpus, &test);
    assert!(tags.f1() < best.f1() - 15.0, "{tags}");
    // The best labels are those of the model, not those of the text.
    assert!(best.accuracy() < 99.0);
}

#[test]
fn sentences_and_words_are_like_those_of_newspapers() {
    let corpus = planted::chunking(2000, 3).corpus();
    let mean = corpus.n_tokens() as f64 / corpus.n_sentences() as f64;
    assert!((22.6..24.6).contains(&mean), "{mean} tokens a sentence");
    let lengths = || corpus.sentences().map(|sentence| sentence.len());
    assert!(lengths().min() < Some(6) && lengths().max() > Some(60));
    let mut tags: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for sentence in corpus.sentences() {
        for token in 0..sentence.len() {
            let word = tags.entry(sentence.column(token, 0)).or_default();
            *word.entry(sentence.column(token, 1)).or_default() += 1;
        }
    }
    let n_once = tags.values().filter(|word| word.values().sum::<usize>() == 1).count();
    let n_ambiguous = tags.values().filter(|word| word.len() > 1).count();
    assert!(n_once > tags.len() / 3, "{n_once} of {} words occur once", tags.len());
    assert!(n_ambiguous > tags.len() / 50, "{n_ambiguous} of {} words have two tags", tags.len());
}

#[test]
fn text_of_another_language_can_be_decoded() {
    let text = "The DT B-NP\nend XYZ I-NP\n\n. . O\nends VBZ B-VP\n";
    let corpus = asyn_data::read_columns("other", text.as_bytes()).unwrap();
    let planted = planted::chunking(1, 1);
    assert_eq!(planted.best_labels(&corpus.sentence(0)).len(), 2);
    assert_eq!(planted.best_labels(&corpus.sentence(0))[0], "B-NP");
    assert_eq!(planted.best_labels(&corpus.sentence(1)), ["O", "B-VP"]);
}
