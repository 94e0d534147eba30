//! Training: what is written, and that it is the same again.

use std::fs;

use asyn::data::read_columns;
use asyn::{HeldOut, Tagger};
use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

const SERIAL: &str = "train crf -q train.txt --strategy serial --passes 3 --seed 5";

#[test]
fn a_seed_repeats_a_serial_run_byte_for_byte() {
    let place = Place::with_corpus(60);
    place.succeed(&format!("{SERIAL} -m a.model"));
    place.succeed(&format!("{SERIAL} -m b.model"));
    assert!(place.read("a.model") == place.read("b.model"));
    place.succeed(&format!("{SERIAL} -m c.model --seed 6").replace("--seed 5", ""));
    assert!(place.read("a.model") != place.read("c.model"));
}

#[test]
fn mini_batches_do_not_depend_on_timing() {
    let place = Place::with_corpus(60);
    let minibatch = "train crf -q train.txt --strategy minibatch -t 3 --passes 3";
    place.succeed(&format!("{minibatch} -m a.model"));
    place.succeed(&format!("{minibatch} -m b.model"));
    assert!(place.read("a.model") == place.read("b.model"));
}

#[test]
fn a_simulated_run_is_the_same_every_time() {
    let place = Place::with_corpus(60);
    for strategy in ["asyngrad", "locked", "round-robin"] {
        let simulated =
            format!("train crf train.txt --simulate -t 7 --passes 2 --strategy {strategy}");
        let said = errors(&place.run(&format!("{simulated} -m a.model")));
        assert!(said.contains("of virtual time"), "{said}");
        assert!(!said.contains("runs on several threads differ"), "{said}");
        place.succeed(&format!("{simulated} -m b.model"));
        assert!(place.read("a.model") == place.read("b.model"), "{strategy}");
    }
    let serial = "train crf -q train.txt --passes 2 --strategy serial";
    place.succeed(&format!("{serial} -m a.model"));
    place.succeed(&format!("{serial} -m b.model --simulate"));
    place.write("a.tagged", place.succeed("tag -q -m a.model --marginals train.txt"));
    place.write("b.tagged", place.succeed("tag -q -m b.model --marginals train.txt"));
    assert!(place.read("a.tagged") == place.read("b.tagged"));
}

#[test]
fn every_strategy_and_update_learns() {
    let place = Place::with_corpus(150);
    let runs = [
        ("asyngrad", "adf"),
        ("serial", "adf"),
        ("locked", "sgd"),
        ("round-robin", "sgd"),
        ("minibatch", "asgd"),
        ("asyngrad", "asgd"),
        ("asyngrad", "adf-counting"),
        ("asyngrad", "adaptive-revision"),
        ("locked", "adaptive-revision"),
        ("minibatch", "adf-counting"),
    ];
    for (strategy, update) in runs {
        let flags = format!("--strategy {strategy} --update {update} -t 2 --passes 4 --rich-edges");
        place.succeed(&format!("train crf -q train.txt {flags} -m model"));
        place.write("tagged", place.succeed("tag -q -m model train.txt"));
        place.succeed("eval tagged --min-f1 90");
    }
}

#[test]
fn lbfgs_ends_at_the_same_objective_with_any_number_of_threads() {
    let place = Place::with_corpus(60);
    let lbfgs = "train crf train.txt --update lbfgs --l2 1 --passes 500 -m m";
    let objective = |flags: &str| {
        let said = errors(&place.run(&format!("{lbfgs} {flags}")));
        let line = said.lines().find(|line| line.starts_with("objective ")).unwrap();
        assert!(line.ends_with("tolerance") || line.ends_with("rounding"), "{line}");
        assert!(!said.contains("runs on several threads differ"), "{said}");
        line.split(' ').nth(1).unwrap().parse::<f64>().unwrap()
    };
    let serial = objective("--strategy serial");
    for threads in [2, 3] {
        let parallel = objective(&format!("-t {threads}"));
        assert!((parallel / serial - 1.0).abs() < 1e-6, "{threads}: {parallel}, {serial}");
    }
    place.write("tagged", place.succeed("tag -q -m m train.txt"));
    place.succeed("eval tagged --min-f1 90");
}

#[test]
fn lbfgs_goes_on_from_a_run_folder() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt --update lbfgs --passes 3 --run r");
    place.succeed("train crf -q --resume r --passes 5");
    let passes: Vec<Value> = place
        .text("r/metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "pass")
        .collect();
    let numbers: Vec<u64> = passes.iter().map(|pass| pass["pass"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let losses: Vec<f64> = passes.iter().map(|pass| pass["loss"].as_f64().unwrap()).collect();
    assert!(losses[4] < losses[2] && losses[2] < losses[0], "{losses:?}");
}

#[test]
fn cut_sentences_are_learned_from_and_runs_on_them_repeat() {
    let place = Place::with_corpus(150);
    for edges in ["", "--rich-edges"] {
        let train = |flags: &str| {
            place.succeed(&format!("{SERIAL} {edges} -m model {flags}"));
            place.write("tagged", place.succeed("tag -q -m model --marginals train.txt"));
            place.read("tagged")
        };
        let whole = train("");
        assert!(train("--sr-length 1000") == whole, "no sentence is that long");
        assert!(train("--sr-pieces 1") == whole);
        let cut = train("--sr-length 4");
        assert!(cut != whole && train("--sr-length 4") == cut);
        let flags = format!("-t 2 --passes 4 --sr-pieces 5 {edges}");
        place.succeed(&format!("train crf -q train.txt {flags} -m model"));
        place.write("tagged", place.succeed("tag -q -m model train.txt"));
        place.succeed("eval tagged --min-f1 85");
    }
}

#[test]
fn events_have_the_promised_keys() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q --train train.txt -d 20% --passes 2 -t 2 -m m --log log");
    let log = place.text("log");
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let sorted = |names: &str| {
        let mut names: Vec<String> = names.split(' ').map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(events.len(), 4);
    assert_eq!(
        keys(&events[0]),
        sorted(
            "event model strategy threads seed update settings kernels version data forecast machine"
        )
    );
    assert_eq!(
        keys(&events[0]["data"]),
        sorted("train sentences tokens attributes rich labels weights read_seconds encode_seconds")
    );
    assert_eq!(keys(&events[0]["machine"]), sorted("cpu cores"));
    assert_eq!(
        keys(&events[1]),
        sorted(
            "event pass loss examples steps train_seconds total_train_seconds \
             total_observe_seconds tokens_per_second dev"
        )
    );
    assert_eq!(keys(&events[1]["dev"]), sorted("f1 precision recall accuracy"));
    assert_eq!(
        keys(&events[3]),
        sorted(
            "event passes stopped best_pass dev_f1 total_train_seconds wall_seconds \
             peak_memory_bytes"
        )
    );
    assert_eq!(events[0]["data"]["sentences"], 48);
    assert_eq!(events[0]["settings"]["template"], "chunking");
    assert_eq!(events[3]["stopped"], false);
    let best = events[3]["best_pass"].as_u64().unwrap();
    let dev_f1 = events[usize::try_from(best).unwrap()]["dev"]["f1"].as_f64().unwrap();
    assert_eq!(events[3]["dev_f1"].as_f64(), Some(dev_f1));
}

#[test]
fn the_saved_weights_are_those_of_the_best_pass() {
    let place = Place::with_corpus(80);
    let dev = asyn::data::planted::chunking(40, 8);
    place.write("dev.txt", dev.text());
    let flags = "--strategy serial -d dev.txt --passes 6 --rate 1.5 --log log";
    place.succeed(&format!("train crf -q train.txt {flags} -m m"));
    let log = place.text("log");
    let end: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let (tagger, about) = Tagger::load(place.path("m"), 1).unwrap();
    let held_out = HeldOut::new(tagger.encoder(), tagger.model(), &dev.corpus(), 2).unwrap();
    let score = held_out.score(tagger.model(), tagger.weights(), 2);
    assert_eq!(end["dev_f1"].as_f64(), Some(score.f1()));
    assert!(about["dev"].starts_with(&format!("F1 {:.2}", score.f1())), "{about:?}");
}

#[test]
fn patience_ends_a_run_some_passes_after_the_best_and_the_folder_can_go_on() {
    let place = Place::with_corpus(80);
    place.write("dev.txt", asyn::data::planted::chunking(40, 8).text());
    let flags = "--strategy serial -d dev.txt --rate 1.5 --passes 200 --patience 3 --run r";
    let said = errors(&place.run(&format!("train crf train.txt {flags}")));
    assert!(said.contains(", and no better one since"), "{said}");
    let events = || -> Vec<Value> {
        place.text("r/metrics.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let end = events().pop().unwrap();
    let (passes, best) = (end["passes"].as_u64().unwrap(), end["best_pass"].as_u64().unwrap());
    assert_eq!((passes, &end["stopped"]), (best + 3, &Value::Bool(false)));
    let scores: Vec<f64> =
        events().iter().filter_map(|event| event["dev"]["f1"].as_f64()).collect();
    let highest = scores.iter().copied().fold(0.0, f64::max);
    assert_eq!(scores[usize::try_from(best).unwrap() - 1], highest);
    place.succeed(&format!("train crf -q --resume r --patience 4 --passes {}", passes + 1));
    assert_eq!(events().pop().unwrap()["passes"].as_u64(), Some(passes + 1));
}

#[test]
fn training_goes_on_from_a_model_with_new_labels_and_attributes() {
    let place = Place::with_corpus(120);
    let text = place.text("train.txt");
    let half = text.match_indices("\n\n").nth(59).unwrap().0 + 2;
    place.write("first.txt", &text[..half]);
    place.write("second.txt", format!("{}{}", &text[half..], "new XX B-NEW\n\n".repeat(5)));
    let serial = "train crf -q --strategy serial --rich-edges --passes 4";
    place.succeed(&format!("{serial} first.txt -m first"));
    // Steps so small that nothing is learned show what was kept.
    let still = "--passes 1 --rate 1e-30 --l2 0";
    place.succeed(
        &format!("{serial} second.txt --init first {still} -m kept").replace("--passes 4", ""),
    );
    let tagged = |model: &str| place.succeed(&format!("tag -q -m {model} first.txt --marginals"));
    let labels = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(' ').nth(3).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(labels(&tagged("kept")), labels(&tagged("first")));
    let (kept, _) = Tagger::load(place.path("kept"), 1).unwrap();
    let (first, _) = Tagger::load(place.path("first"), 1).unwrap();
    assert!(kept.encoder().n_attributes() > first.encoder().n_attributes());
    assert!(kept.encoder().labels().contains(&"B-NEW".to_owned()));

    place.succeed(&format!("{serial} second.txt --init first -m both"));
    place.write("tagged", place.succeed("tag -q -m both train.txt"));
    place.succeed("eval tagged --min-f1 90");
    place.write("new.txt", "new XX B-NEW\n");
    assert!(place.succeed("tag -q -m both new.txt").ends_with("B-NEW\n\n"));
}

#[test]
fn pruned_and_halved_models_are_smaller_and_tag_nearly_the_same() {
    let place = Place::with_corpus(150);
    let train = "train crf train.txt --strategy serial --rich-edges --passes 4";
    let said = |flags: &str| errors(&place.run(&format!("{train} {flags}")));
    said("-m whole");
    assert!(said("-m half --f16").contains("saved half"));
    let pruned = said("-m pruned --prune 0.05");
    let line = pruned.lines().find(|line| line.starts_with("pruned ")).unwrap();
    let n_pruned: u32 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(n_pruned > 0, "{pruned}");
    let size = |model: &str| place.read(model).len();
    assert!(size("half") < size("whole") * 3 / 4 && size("pruned") < size("whole"));
    for model in ["half", "pruned"] {
        place.write("tagged", place.succeed(&format!("tag -q -m {model} train.txt")));
        place.succeed("eval tagged --min-f1 90");
    }
    // What is dropped then has no weight at all.
    assert!(said("-m none --prune 0").contains("pruned "));
    assert!(place.succeed("tag -m none train.txt") == place.succeed("tag -m whole train.txt"));
    assert!(said("-m empty --prune 1e9").contains("pruned "));
    place.succeed("tag -q -m empty train.txt");
}

#[test]
fn one_type_of_chunk_can_be_kept() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt --only-type NP -p np --passes 2 -m m");
    let (tagger, _) = Tagger::load(place.path("m"), 1).unwrap();
    let mut labels = tagger.encoder().labels().to_vec();
    labels.sort();
    assert_eq!(labels, ["B-NP", "I-NP", "O"]);
}

#[test]
fn labels_that_training_never_saw_are_named() {
    let place = Place::with_corpus(40);
    place.write("dev.txt", "a DT B-XX\nb NN I-XX\nc NN I-XX\n\nd NN O\n");
    let output = place.run("train crf train.txt -d dev.txt --passes 1 -m m");
    let expected = "dev.txt: 3 tokens have labels that the training data lack: B-XX (1), I-XX (2)";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
    let output = place.run("tag -m m dev.txt");
    assert!(errors(&output).contains(expected), "{}", errors(&output));
}

#[test]
fn a_racy_run_says_how_to_repeat_one_exactly() {
    let place = Place::with_corpus(20);
    let last = |line: &str| errors(&place.run(line)).lines().last().unwrap().to_owned();
    let racy = last("train crf train.txt --passes 1 -t 2 --seed 9 -m m");
    assert!(racy.contains("--strategy serial --seed 9"), "{racy}");
    let serial = last("train crf train.txt --passes 1 --strategy serial -m m");
    assert!(!serial.contains("--strategy serial"), "{serial}");
}

#[test]
fn a_model_describes_itself() {
    let place = Place::with_corpus(40);
    place.succeed("train crf -q train.txt -d 25% --rich-edges --passes 2 -m m");
    let text = place.succeed("info m");
    for part in ["train.txt: 30 sentences", "B-NP", "template    chunking", "passes      2", "F1 "]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let report: Value = serde_json::from_str(&place.succeed("info m --json")).unwrap();
    assert_eq!((&report["model"], &report["passes"]), (&"crf".into(), &"2".into()));
}

#[test]
fn planted_corpora_are_the_same_for_a_seed() {
    let place = Place::new();
    let text = place.succeed("gen chunking -q --sentences 30 --seed 4");
    place.succeed("gen chunking -q --sentences 30 --seed 4 --out corpus");
    assert_eq!(place.text("corpus"), text);
    assert_eq!(read_columns("corpus", text.as_bytes()).unwrap().n_sentences(), 30);
    assert_ne!(place.succeed("gen chunking -q --sentences 30 --seed 5"), text);
    let output = place.run("gen chunking --sentences 30 --seed 4 --out corpus");
    assert!(errors(&output).contains("best possible F1 "), "{}", errors(&output));
}

#[test]
fn a_dictionary_and_a_lexicon_are_kept_in_the_model() {
    let place = Place::new();
    let train =
        "他\tS\n在\tS\n北\tB\n京\tE\n\n北\tB\n京\tE\n市\tS\n\n我\tS\n爱\tS\n北\tB\n京\tE\n\n";
    place.write("train.txt", format!("{train}{}", "他\tS\n爱\tS\n我\tS\n\n".repeat(5)));
    place.write("words.txt", "上海\n天 津\n");
    place.write("my.template", "U0:%x[0,0]\nU1:%known[0,1]\nU2:%known[-1,0]\nB\n");
    let line = "train crf -q train.txt -p my.template --strategy serial -f 1";
    place.succeed(&format!("{line} --lexicon words.txt -m with.model"));
    place.succeed(&format!("{line} -m without.model"));
    fs::remove_file(place.path("words.txt")).unwrap();
    // Neither character is in the training text: only the lexicon knows them.
    place.write("test.txt", "天\n津\n");
    assert_eq!(place.succeed("tag -q -m with.model test.txt"), "天 B\n津 E\n\n");
    assert_ne!(place.succeed("tag -q -m without.model test.txt"), "天 B\n津 E\n\n");
}

/// Returns the last columns of a tagged file.
fn last_column(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect()
}

#[test]
fn labels_are_learned_in_another_scheme_than_that_of_the_files() {
    let place = Place::with_corpus(120);
    place.write("dev.txt", asyn::data::planted::chunking(60, 8).text());
    for file in ["train", "dev"] {
        place.succeed(&format!("convert -q --scheme iob1 {file}.txt -o {file}.iob1"));
    }
    let train = "train crf -q --strategy serial -d dev.txt --passes 4 train.txt --scheme iobes";
    place.succeed(&format!("{train} -m m"));
    place.succeed(&train.replace(".txt", ".iob1").replace("crf -q", "crf -q -m m1"));
    let info = place.succeed("info m");
    assert!(
        info.contains(" S-NP") && info.contains("scheme      iobes, written as iob2"),
        "{info}"
    );

    let tagged = place.succeed("tag -q -m m dev.txt");
    assert!(last_column(&tagged).iter().all(|label| !label.starts_with(['S', 'E'])));
    // The model is the same whatever the file has, and what it says is spelt as in the file.
    place.write("tagged", &tagged);
    let iob1 = place.succeed("tag -q -m m1 dev.iob1");
    place.write("iob1", &iob1);
    place.write("spelt", place.succeed("convert -q --scheme iob1 tagged"));
    assert_eq!(last_column(&iob1), last_column(&place.text("spelt")));
    let dev = Tagger::load(place.path("m"), 1).unwrap().1["dev"].clone();
    let score: Value = serde_json::from_str(&place.succeed("eval --json tagged")).unwrap();
    let [f1, accuracy] = ["f1", "accuracy"].map(|key| score[key].as_f64().unwrap());
    let said = format!("F1 {f1:.2}, accuracy {accuracy:.2}");
    assert!(dev.starts_with(&said), "{dev} does not begin with {said}");

    // Constraints, n-best lists and explanations speak of labels as they are written.
    place.write("asked", "mu POS * B-VP\ngi NN * I-VP\nmadi VBZ * *\n");
    let answer = place.succeed("tag -q -m m --constraints asked");
    assert_eq!(last_column(&answer)[..2], ["B-VP", "I-VP"]);
    let best = place.succeed("tag -q -m m --nbest 1 --explain --span-marginals dev.txt");
    let best = best.lines().filter(|line| !line.starts_with('#'));
    let labels: Vec<&str> = best.map(|line| line.split(' ').nth(3).unwrap_or("")).collect();
    assert_eq!(labels, last_column(&tagged));

    // Training goes on with the labels that were learned.
    let more = "train crf -q --strategy serial --passes 1 train.txt --init m -m more";
    place.succeed(more);
    assert!(place.succeed("info more").contains("iobes, written as iob2"));
    let failed = place.run(&format!("{more} --scheme bilou"));
    assert_fails(&failed, 2, "--scheme bilou: the model to go on from learned iobes");
    place.write("tags", "a b NN\n\nc d VB\n");
    let failed = place.run("train crf -q tags --scheme iobes -m n");
    assert_fails(&failed, 65, "tags:1: expected O or a letter of a tag scheme");
}

#[test]
fn a_sentence_of_a_thousand_tokens_does_not_spoil_a_crf() {
    let place = Place::with_corpus(200);
    let f1 = |flags: &str| {
        let train = format!("train crf {flags} -m m --strategy serial --passes 1 -d dev.txt -v");
        let said = errors(&place.run(&train));
        let (_, after) = said.split_once("dev F1 ").expect("it is scored");
        (after[..5].parse::<f64>().expect("a number"), said)
    };
    place.write("dev.txt", asyn::data::planted::chunking(200, 8).text());
    let (usual, _) = f1("train.txt");
    let long = asyn::data::planted::chunking(50, 9).text().replace("\n\n", "\n");
    place.write("long.txt", format!("{long}\n{}", place.text("train.txt")));
    let (with_long, said) = f1("long.txt");
    assert!(said.contains("1 of the sentences have more than 100 tokens"), "{said}");
    assert!(said.contains("long.txt: 201 sentences"), "{said}");
    assert!(with_long > usual - 2.0, "{with_long} where {usual} is usual");
}
