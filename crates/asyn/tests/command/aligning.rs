//! Word alignment, as users meet it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use asyn::core::SplitMix64;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

/// Sentences of eight words and their translations, word by word and in the same order.
fn text(n_pairs: usize) -> [String; 2] {
    let mut sides = [String::new(), String::new()];
    for pair in 0..n_pairs {
        let words: Vec<usize> = (0..5).map(|at| (pair * (3 + at) + at * pair / 7) % 8).collect();
        for (side, letter) in sides.iter_mut().zip(["f", "e"]) {
            let words: Vec<String> = words.iter().map(|word| format!("{letter}{word}")).collect();
            side.push_str(&(words.join(" ") + "\n"));
        }
    }
    sides
}

fn with_text() -> Place {
    let place = Place::new();
    let [left, right] = text(200);
    let both: String =
        left.lines().zip(right.lines()).map(|(f, e)| format!("{f} ||| {e}\n")).collect();
    place.write("train.f", left);
    place.write("train.e", right);
    place.write("train", both);
    place
}

#[test]
fn a_text_is_learned_aligned_and_scored() {
    let place = with_text();
    place.succeed("align train train -m both.model");
    place.succeed("align train train.f train.e -m files.model -t 1");
    let links = place.succeed("align -m both.model train");
    assert_eq!(links.lines().count(), 200);
    // The words of a pair are all different, or the first of several is taken.
    let gold: String = (0..200).map(|_| "0-0 1-1 2-2 3-3 4-4\n").collect();
    place.write("gold", gold);
    place.write("links", &links);
    let score = place.succeed("eval --scorer aer --gold gold --text train --json links");
    let score: Value = serde_json::from_str(&score).unwrap();
    assert!(score["aer"].as_f64().unwrap() < 15.0, "{score}");
    let of_files = place.succeed("align -m files.model train.f train.e");
    assert_eq!(of_files, place.succeed("align -m files.model train -t 2"));
    let words = place.succeed("eval --scorer aer --gold gold --text train.f --text train.e links");
    assert!(words.contains("200 pairs with 1000 sure and 1000 possible links"), "{words}");
}

#[test]
fn one_worker_repeats_a_run_and_a_loaded_model_its_links() {
    let place = with_text();
    for model in ["first.model", "second.model"] {
        place.succeed(&format!(
            "align train train -m {model} --strategy serial --direction forward"
        ));
    }
    assert_eq!(place.read("first.model"), place.read("second.model"));
    let posteriors = place.succeed("align -m first.model --posteriors train");
    let links = place.succeed("align -m first.model train");
    let without: String = posteriors
        .lines()
        .map(|line| {
            let links = line.split(' ').map(|item| item.split_once(':').unwrap().0);
            links.collect::<Vec<_>>().join(" ") + "\n"
        })
        .collect();
    assert_eq!(without, links);
    place.write("links", posteriors);
    place.write("gold", &links);
    assert!(place.succeed("eval --scorer aer --gold gold links").contains("AER:   0.00%"));
}

#[test]
fn every_distortion_trains_and_is_told_by_the_file() {
    let place = with_text();
    for distortion in ["uniform", "diagonal", "hmm"] {
        let model = format!("{distortion}.model");
        place.succeed(&format!("align train train -m {model} --distortion {distortion}"));
        let links = place.succeed(&format!("align -m {model} train"));
        assert!(links.starts_with("0-0 "), "{distortion}: {links}");
    }
}

#[test]
fn batch_em_and_all_strategies_train() {
    let place = with_text();
    place.succeed("align train train -m m --update batch --passes 5");
    for strategy in ["asyngrad", "locked", "round-robin", "minibatch", "serial"] {
        place
            .succeed(&format!("align train train -m m --strategy {strategy} -t 2 --accumulate 10"));
        assert!(place.succeed("align -m m train").starts_with("0-0 "));
    }
}

/// Returns the alignment error rate of a model where each word is linked to the one at its place.
fn aer(place: &Place, model: &str, text: &str) -> f64 {
    let links = place.succeed(&format!("align -m {model} {text}"));
    let gold: String = place
        .text(text)
        .lines()
        .map(|line| {
            let n_words = line.split(' ').position(|word| word == "|||").unwrap();
            let links: Vec<String> = (0..n_words).map(|word| format!("{word}-{word}")).collect();
            links.join(" ") + "\n"
        })
        .collect();
    place.write("links", links);
    place.write("gold", gold);
    let score = place.succeed("eval --scorer aer --gold gold --json links");
    serde_json::from_str::<Value>(&score).unwrap()["aer"].as_f64().unwrap()
}

#[test]
fn directions_that_agree_are_trained_saved_and_gone_on_with() {
    let place = with_text();
    place.succeed("align train train -m m --agreement --strategy serial");
    place.succeed("align train train -m n --agreement --strategy asyngrad -t 1");
    assert!(place.read("m") == place.read("n"));
    assert!(aer(&place, "m", "train") < 15.0);
    place.succeed("align train train -m n --init m --agreement --passes 1");
    assert!(aer(&place, "n", "train") < 15.0);
}

#[test]
fn training_goes_on_from_a_model_with_new_words() {
    let place = with_text();
    place.succeed("align train train -m m --direction forward");
    let more: String = place
        .text("train")
        .lines()
        .map(|line| line.replace("f7", "new").replace("e7", "neu") + " .\n")
        .map(|line| line.replace(" |||", " . |||"))
        .collect();
    place.write("more", more);
    let output = place.run("align train more -m n --init m --passes 3");
    // Forward goes on, backward starts from nothing.
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("forward, model 1"), "{said}");
    assert!(said.contains("forward, hmm, pass 3"), "{said}");
    assert!(said.contains("backward, model 1, pass 5"), "{said}");
    assert!(aer(&place, "n", "more") < 15.0);
    assert!(aer(&place, "n", "train") < 15.0, "what was learned before is kept");
    place.succeed("align train train -m n --init n --passes 1 --max-memory 16M");
    assert!(aer(&place, "n", "more") < 15.0);
}

#[test]
fn texts_may_be_gzipped() {
    let place = with_text();
    for name in ["train", "train.f", "train.e"] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&place.read(name)).unwrap();
        place.write(&format!("{name}.gz"), encoder.finish().unwrap());
    }
    place.succeed("align train train -m m --strategy serial");
    place.succeed("align train train.f.gz train.e.gz -m n --strategy serial");
    assert!(place.read("m") == place.read("n"));
    place.succeed("align train train.f train.e.gz -m n --strategy serial");
    assert!(place.read("m") == place.read("n"));
    let links = place.succeed("align -m m train");
    assert_eq!(links, place.succeed("align -m m train.gz"));
    assert_eq!(links, place.succeed("align -m m train.f train.e.gz"));
}

#[test]
#[cfg(unix)]
fn an_interrupted_training_saves_its_counts_and_goes_on() {
    let place = with_text();
    let mut command = place.command("align train train -m m --passes 1000000");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("forward, hmm, pass 1:")));
    interrupt(&child);
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{last}");
    assert!(last.contains("stopped while forward was trained; m has the counts so far"), "{last}");
    place.succeed("align -m m train");
    let output = place.run("align train train -m m --init m --passes 2");
    let said = errors(&output);
    assert!(said.contains("forward, hmm, pass 2") && !said.contains("forward, model 1"), "{said}");
    assert!(said.contains("backward, model 1, pass 5"), "{said}");
    assert!(aer(&place, "m", "train") < 15.0);
}

#[test]
#[cfg(unix)]
fn a_stream_is_answered_line_by_line_and_survives_an_interrupt() {
    let place = with_text();
    place.succeed("align train train -m m");
    let mut command = place.command("align -m m");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..3 {
        input.write_all(b"f1 f2 f3 ||| e1 e2 e3\n").unwrap();
        assert_eq!(answers.next().unwrap(), "0-0 1-1 2-2");
    }
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(errors(&output).contains("stopped after 3 pairs"), "{}", errors(&output));
    assert_eq!(answers.next(), None);
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

/// Writes sentences of many words; a fifth of the words on the right are anything.
fn write_large_text(place: &Place, n_pairs: usize) {
    let mut random = SplitMix64::new(5);
    let mut word = || {
        let most = 1 + random.below(4000);
        random.below(most)
    };
    let line = |_| {
        let left: Vec<u64> = (0..20).map(|_| word()).collect();
        let right = left.iter().map(|&f| if word() % 5 == 0 { word() } else { f });
        let right: Vec<String> = right.map(|e| format!("e{e}")).collect();
        let left: Vec<String> = left.iter().map(|f| format!("f{f}")).collect();
        format!("{} ||| {}\n", left.join(" "), right.join(" "))
    };
    place.write("large", (0..n_pairs).map(line).collect::<String>());
}

#[test]
fn memory_is_bounded_at_little_loss() {
    let place = Place::new();
    write_large_text(&place, 4000);
    let flags = "--first-passes 2 --passes 2";
    let output = place.run(&format!("align train large -m m {flags} --max-memory 40M"));
    let said = errors(&output);
    assert!(output.status.success(), "{said}");
    let number = |line: &str, before: &str| -> usize {
        let text = line.split(before).next().unwrap().trim_end();
        text.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let passes: Vec<&str> = said.lines().filter(|line| line.contains("pruned")).collect();
    assert_eq!(passes.len(), 4, "{said}");
    for pass in passes {
        assert_eq!(number(pass, "pairs in"), 4000, "{pass}");
        assert!(number(pass, "parts") > 1, "{pass}");
        assert!(number(pass, "pairs of words pruned") > 0, "{pass}");
    }
    if let Some(peak) = said.lines().find(|line| line.ends_with("MB at most")) {
        assert!(number(peak, "MB at most") <= 40, "{peak}");
    }
    // Half of the memory, with 32 bytes for a count of each of the two directions.
    let model = said.lines().last().unwrap();
    assert!(number(model, "pairs of words") <= 2 * 40_000_000 / 64, "{model}");
    place.succeed(&format!("align train large -m whole {flags}"));
    let (bounded, whole) = (aer(&place, "m", "large"), aer(&place, "whole", "large"));
    assert!(bounded < whole + 5.0, "{bounded} {whole}");
}

#[test]
fn empty_sides_and_unknown_words_keep_their_lines() {
    let place = with_text();
    place.write("odd", " ||| \n ||| e1\nf1 f2 ||| \nf1 f2 f3 ||| e1 strange e3\n");
    let output = place.run("align train odd -m m");
    assert!(errors(&output).contains("3 pairs with an empty side"), "{}", errors(&output));
    place.succeed("align train train -m m");
    let links = place.succeed("align -m m odd");
    assert_eq!(links.lines().take(3).collect::<String>(), "");
    assert!(links.lines().nth(3).unwrap().starts_with("0-0"), "{links}");
}

#[test]
fn long_sentences_are_aligned_and_left_out_of_training() {
    let place = with_text();
    let long = |letter: &str| {
        let words: Vec<String> = (0..10_000).map(|word| format!("{letter}{}", word % 8)).collect();
        words.join(" ")
    };
    let [left, right] = text(50);
    place.write("long.f", format!("{left}{}\n", long("f")));
    place.write("long.e", format!("{right}{}\n", long("e")));
    let output = place.run("align train long.f long.e -m m");
    assert!(output.status.success());
    let errors = errors(&output);
    assert!(errors.contains("1 pairs with more than 200 words"), "{errors}");
    let links = place.succeed("align -m m long.f long.e --sym intersection");
    assert_eq!(links.lines().count(), 51);
}

#[test]
fn bad_input_is_one_clear_line() {
    let place = with_text();
    place.write("short", "f1\n");
    let fails = |line: &str, status, cause| assert_fails(&place.run(line), status, cause);
    fails("align train train.f short -m m", 65, "train.f:2: expected as many lines as in short");
    fails("align train train.f -m m", 65, "train.f:1: expected two sentences with one |||");
    fails("align train missing -m m", 66, "missing");
    fails("align train train -m m --power 0.5", 2, "power must be above 0.5");
    fails("align train train -m m --strategy bounded", 2, "bounded");
    place.write("empty", " ||| \n");
    fails("align train empty -m m", 65, "expected pairs of 1 to 200 words a side");
    assert!(!place.path("m").exists());
    place.succeed("align train train -m m");
    fails("align -m m train.e train.f", 65, "the sides are the other way round");
    place.write("other", "g1 g2 ||| e1 e2\n");
    fails("align -m m other", 65, "the model knows 0.0 % of the words on the left");
    fails("align -m missing train", 66, "missing");
    fails("align -m train train", 65, "train");
    place.write("links", "0-0\n0-0\n");
    place.write("gold", "0-0\n0-9\n");
    place.write("pairs", "f0 ||| e0\nf1 ||| e1\n");
    fails(
        "eval --scorer aer links --gold gold --text pairs",
        65,
        "gold:2: expected links of a pair of 1 and 1 words, found 0-9",
    );
    place.write("links", "0-0\n");
    fails("eval --scorer aer --gold gold links", 65, "links:2: expected as many lines as in gold");
    fails("eval --scorer aer links", 2, "--gold");
    fails("eval --scorer conlleval links --text pairs", 2, "--text");
    fails("eval --scorer aer --gold gold --text a --text b --text c links", 2, "one file or two");
    fails("align train train -m n --agreement --direction forward", 2, "--agreement");
    fails("align train train -m n --init m --update batch", 2, "--init");
    fails("align train train -m n --max-memory 1M", 2, "at least 16M");
    fails("align train - -m n --max-memory 16M", 2, "must be a file");
    fails("align train train -m n --init train", 65, "train");
    assert!(!place.path("n").exists());
}

#[test]
fn states_are_scored_against_tags() {
    let place = Place::new();
    place.write("states", "a N 1\nb V 2\n\nc N 1\nd N 2\n");
    let score = place.succeed("eval --scorer states --json states");
    let score: Value = serde_json::from_str(&score).unwrap();
    assert_eq!((&score["many_to_one"], &score["states"]), (&75.0.into(), &2.into()));
    assert!(place.succeed("eval --scorer states states").contains("many-to-one:  75.00%"));
}

#[test]
fn states_are_learned_without_labels() {
    let place = Place::with_corpus(300);
    place.succeed("train hmm train.txt --states 12 -m states.model --passes 5 -t 1");
    place.succeed("train hmm train.txt --states 12 -m again.model --passes 5 --strategy serial");
    assert_eq!(place.read("states.model"), place.read("again.model"));
    let tagged = place.succeed("tag -m states.model train.txt");
    place.write("tagged", tagged);
    let score = place.succeed("eval --scorer states --json tagged");
    let score: Value = serde_json::from_str(&score).unwrap();
    assert!(score["many_to_one"].as_f64().unwrap() > 30.0, "{score}");
    assert!(score["states"].as_u64().unwrap() <= 12, "{score}");
    let fails = |line: &str, status, cause| assert_fails(&place.run(line), status, cause);
    fails("train hmm train.txt --states 2000 -m m", 2, "between 1 and 1000");
    fails("train hmm missing -m m", 66, "missing");
    fails("tag -m states.model --nbest 2 train.txt", 2, "--nbest");
}
