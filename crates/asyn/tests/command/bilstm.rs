//! Bi-LSTMs from a file to labels, and back from files.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

/// A small network that learns the planted corpus in a few passes.
const SMALL: &str = "--width 16,8,4 --hidden 16 --rate 0.01";

fn train(flags: &str) -> String {
    format!("train bilstm -q train.txt {SMALL} --strategy serial --seed 5 {flags}")
}

/// Labels the training corpus with a model and returns the lines.
fn tagged(place: &Place, model: &str, flags: &str) -> String {
    place.succeed(&format!("tag -q -m {model} {flags} train.txt"))
}

#[test]
fn every_kind_of_network_learns_and_says_what_it_is() {
    let place = Place::with_corpus(120);
    for (flags, kind) in [
        ("", "softmax"),
        ("--characters 6,5 --output crf", "crf"),
        ("--layers 2 --dropout 0.1 --initial xavier --clip 5 --warm-up 0.5", "softmax"),
        ("--initial diag-normal --scheme iobes --output crf", "crf"),
        ("--update sgd --rate 0.05 --l2 0.01", "softmax"),
        ("--update rmsprop --rate 0.003 --beta-2 0.99", "softmax"),
        ("--update momentum --rate 0.005 --beta-1 0.9 --clip 5", "softmax"),
    ] {
        let flags = flags.to_owned();
        let line = train(&format!("--passes 8 -m model {flags}"));
        let line = if flags.contains("--rate") { line.replace("--rate 0.01 ", "") } else { line };
        place.succeed(&line);
        place.write("tagged", tagged(&place, "model", ""));
        place.succeed("eval tagged --min-f1 80");
        let info: Value = serde_json::from_str(&place.succeed("info --json model")).unwrap();
        assert_eq!((&info["model"], &info["output"]), (&"bilstm".into(), &kind.into()));
        assert_eq!(info["widths"], serde_json::json!([16, 8, 4]));
        assert!(place.succeed("info model").contains("vectors of 16, 8, 4"), "{flags}");
    }
}

#[test]
fn every_strategy_trains_it_and_the_events_tell() {
    let place = Place::with_corpus(120);
    for strategy in [
        "asyngrad",
        "asyngrad --replicas off",
        "asyngrad --read snapshot",
        "locked",
        "round-robin",
        "minibatch",
        "bounded",
    ] {
        for moments in ["shared", "mixed", "private"] {
            let flags = format!("--strategy {strategy} -t 2 --moments {moments} --passes 6");
            let line = format!("train bilstm -q train.txt {SMALL} {flags} -m model --log log");
            place.succeed(&line);
            place.write("tagged", tagged(&place, "model", ""));
            place.succeed("eval tagged --min-f1 75");
            let log = place.text("log");
            let start: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
            assert_eq!(start["model"], "bilstm");
            assert_eq!(start["settings"]["bilstm"]["moments"], moments);
        }
    }
}

#[test]
fn labels_do_not_depend_on_threads_and_repeat_with_the_seed() {
    let place = Place::with_corpus(120);
    place.succeed(&train("--passes 2 -m a"));
    place.succeed(&train("--passes 2 -m b"));
    assert!(place.read("a") == place.read("b"));
    assert_eq!(tagged(&place, "a", "-t 1"), tagged(&place, "a", "-t 3"));
    let dev = |threads: u32| {
        place.succeed(&train(&format!("--passes 2 -d 30% -m c -t {threads}")));
        let info: Value = serde_json::from_str(&place.succeed("info --json c")).unwrap();
        (info["dev"].clone(), place.read("c").len())
    };
    assert_eq!(dev(1), dev(3));
}

#[test]
fn half_the_bits_give_nearly_the_same_labels() {
    let place = Place::with_corpus(120);
    place.succeed(&train("--passes 4 -m whole"));
    place.succeed(&train("--passes 4 -m half --f16"));
    assert!(place.read("half").len() < place.read("whole").len() * 2 / 3);
    let (whole, half) = (tagged(&place, "whole", ""), tagged(&place, "half", ""));
    let n_others = whole.lines().zip(half.lines()).filter(|(a, b)| a != b).count();
    assert!(n_others * 200 < whole.lines().count(), "{n_others}");
}

#[test]
fn a_run_that_goes_on_ends_as_if_it_had_not_stopped() {
    let place = Place::with_corpus(80);
    for update in ["--dropout 0.2 --characters 6,5", "--update sgd", "--update momentum"] {
        let line = |run: &str| train(&format!("{update} -d 20% --segment 16 --run {run}"));
        let (whole, parts) = (format!("{}-whole", update.len()), format!("{}-parts", update.len()));
        place.succeed(&format!("{} --passes 4", line(&whole)));
        place.succeed(&format!("{} --passes 2", line(&parts)));
        place.succeed(&format!("train bilstm -q --resume {parts} --passes 4"));
        let model = |run: &str| place.read(&format!("{run}/model.safetensors"));
        assert!(model(&whole) == model(&parts), "{update}");
        for (flags, cause) in [
            ("--hidden 8", "--hidden is 16 in the run"),
            ("--output crf", "--output is \"softmax\" in the run"),
        ] {
            let refusal = place.run(&format!("train bilstm --resume {parts} {flags}"));
            assert_fails(&refusal, 2, cause);
        }
        let refusal = place.run(&format!("train crf --resume {parts}"));
        assert_fails(&refusal, 2, "holds the run of a bilstm");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_saves_and_goes_on_exactly() {
    let place = Place::with_corpus(60);
    let line = train("--segment 16 --passes 1000000 --run parts").replace("-q ", "");
    let mut child = place.command(&line).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("pass 1/")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{last}");
    let metrics = place.text("parts/metrics.jsonl");
    let end: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let passes = end["passes"].as_u64().unwrap() + 2;
    place.succeed(&format!("train bilstm -q --resume parts --passes {passes}"));
    place.succeed(&train(&format!("--segment 16 --passes {passes} --run whole")));
    assert!(place.read("whole/model.safetensors") == place.read("parts/model.safetensors"));
}

#[test]
fn patience_ends_a_run_at_its_best_pass() {
    let place = Place::with_corpus(80);
    let line = train("--passes 60 -d 30% --patience 2 -m model --log log");
    place.succeed(&line);
    let end: Value = serde_json::from_str(place.text("log").lines().last().unwrap()).unwrap();
    let (passes, best) = (end["passes"].as_u64().unwrap(), end["best_pass"].as_u64().unwrap());
    assert!(passes == best + 2 && passes < 60, "{passes} {best}");
}

#[test]
fn a_run_that_diverges_leaves_its_last_good_weights() {
    let place = Place::with_corpus(40);
    // Shrinking by more than all makes weights grow, from pass to pass by the factor 1.2⁴⁰.
    let line = |l2: u32, flags: &str| {
        let line = format!("--update sgd --l2 {l2} -m model {flags}");
        train(&line).replace("--rate 0.01", "--rate 1")
    };
    let refusal = place.run(&line(88, "--passes 60"));
    assert_fails(&refusal, 1, "training diverged in pass ");
    let said = errors(&refusal);
    let number = |before: &str| -> u32 {
        let digits = said.split(before).nth(1).unwrap();
        digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let (bad, good) = (number("in pass "), number("the model after pass "));
    assert!(good == bad - 1 && good > 0, "{said}");
    let info: Value = serde_json::from_str(&place.succeed("info --json model")).unwrap();
    assert_eq!(info["passes"], good.to_string().as_str(), "{info}");
    let saved = place.read("model");
    place.succeed(&line(88, &format!("--passes {good}")).replace("-m model", "-m whole"));
    let weights = |name: &str| asyn::data::ModelFile::load(place.path(name), "bilstm").unwrap();
    assert_eq!(weights("model").tensors, weights("whole").tensors);

    // With development data it is the best pass, and a run that was never good leaves what was there.
    let said = errors(&place.run(&line(70, "--passes 60 -d 20%")));
    assert!(said.contains("is saved"), "{said}");
    let info: Value = serde_json::from_str(&place.succeed("info --json model")).unwrap();
    assert!(info["dev"].as_str().unwrap().contains("after pass"), "{info}");
    place.write("model", &saved);
    let refusal = place.run(&line(4_000_000, "--passes 60"));
    assert_fails(&refusal, 1, "training diverged in pass 1");
    assert!(!errors(&refusal).contains("is saved"));
    assert!(place.read("model") == saved);

    // A run that goes on falls back on what it goes on from.
    place.succeed(&line(88, &format!("--passes {good}")).replace("-m model", "--run parts"));
    let refusal = place.run("train bilstm -q --resume parts --passes 60");
    assert_fails(&refusal, 1, &format!("the model after pass {good} is saved"));
    assert_eq!(weights("parts/model.safetensors").tensors, weights("whole").tensors);
}

#[test]
fn a_model_goes_on_with_what_it_knows() {
    let place = Place::with_corpus(120);
    place.succeed(&train("--characters 6,5 --output crf --passes 8 -m good"));
    // Other words, characters and a new label, in few sentences; the old ones stay known.
    place.write("more.txt", "Zürich NNP B-NEW\nliegt VBZ B-VP\n\n".repeat(3));
    let line = "train bilstm -q more.txt --init good --rate 0.001 --passes 1 -m more";
    place.succeed(line);
    place.write("before", tagged(&place, "good", ""));
    place.write("tagged", tagged(&place, "more", ""));
    place.succeed("eval tagged --min-f1 80");
    let info: Value = serde_json::from_str(&place.succeed("info --json more")).unwrap();
    assert_eq!((&info["hidden"], &info["output"]), (&16.into(), &"crf".into()));
    assert!(info["labels"].as_array().unwrap().contains(&"B-NEW".into()));
    place.succeed("train crf -q train.txt --passes 1 -m of-crf");
    for (flags, cause) in [
        ("--init good --hidden 8", "--init good: its hidden is another"),
        ("--init good --width 16,8,5", "--init good: its width is another"),
        ("--init of-crf", "--init of-crf: it is a crf"),
    ] {
        let refusal = place.run(&format!("train bilstm -q more.txt {flags} -m no"));
        assert_fails(&refusal, 2, cause);
    }
    let refusal = place.run("train crf -q train.txt --init good -m no");
    assert_fails(&refusal, 2, "--init good: it is a bilstm");
}

#[test]
fn words_start_with_vectors_that_were_learned_elsewhere() {
    let place = Place::with_corpus(60);
    let text = place.text("train.txt");
    let mut words: Vec<String> =
        text.lines().filter_map(|line| Some(line.split(' ').next()?.to_lowercase())).collect();
    words.sort();
    words.dedup();
    words.retain(|word| !word.is_empty());
    let line = |(at, word): (usize, &String)| format!("{word} {} 0.5 -1e-1\n", at % 7);
    let glove: String = words.iter().enumerate().map(line).collect();
    place.write("glove.txt", format!("{glove}elsewhere 1 2 3\n"));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    write!(packed, "{} 3\n{glove}", words.len()).unwrap();
    place.write("fast.vec.gz", packed.finish().unwrap());
    let start = "train bilstm train.txt --strategy serial --passes 1 --hidden 8 --rate 1e-9";
    for (file, model) in [("glove.txt", "a"), ("fast.vec.gz", "b")] {
        let said = errors(&place.run(&format!("{start} --vectors {file} -m {model}")));
        assert!(said.contains(&format!("{} words start with vectors of 3", words.len())), "{said}");
    }
    let vectors = |model: &str| {
        let file = asyn::data::ModelFile::load(place.path(model), "bilstm").unwrap();
        file.tensors["column.0"].clone()
    };
    assert_eq!(vectors("a"), vectors("b"));
    assert!(vectors("a").values[3..].chunks(3).all(|row| (row[1] - 0.5).abs() < 1e-3));

    place.write("ragged", "a 1 2 3\nb 1 2\n");
    place.write("long", "a 1 2 3\nb 1 2 3 4\n");
    place.write("none", "3 3\n");
    let word = &words[0];
    place.write("nan", format!("{word} 1 NaN 3\n"));
    place.write("text", format!("{word} 1 two 3\n"));
    place.write("latin1", b"a 1 2\n\xe9 1 2\n");
    place.write("cut.gz", [0x1f, 0x8b, 8, 0]);
    for (flags, status, cause) in [
        ("--vectors ragged", 65, "ragged:2: expected a word and 3 numbers, found 2"),
        ("--vectors long", 65, "long:2: expected a word and 3 numbers, found 4"),
        ("--vectors none", 65, "none:1: expected a word and its numbers"),
        ("--vectors nan", 65, "nan:1: expected a finite number"),
        ("--vectors text", 65, "text:1: expected a finite number, found \"two\""),
        ("--vectors latin1", 65, "latin1:2: expected UTF-8"),
        ("--vectors cut.gz", 65, "cut.gz: expected gzip data"),
        ("--vectors absent", 66, "absent"),
        ("--vectors glove.txt --width 4,4,4", 2, "--width 4: the vectors of glove.txt have 3"),
    ] {
        assert_fails(&place.run(&format!("{start} -q {flags} -m no")), status, cause);
        assert!(!place.path("no").exists());
    }
}

#[test]
fn text_is_segmented() {
    let place = Place::new();
    place.write("train.seg", "ab c\nc ab ab\nab ab c c\n".repeat(20));
    let line = "train bilstm -q --format segmented train.seg --strategy serial --rate 0.01 -m words \
                --hidden 16 --width 8,8,8,4";
    place.succeed(line);
    place.write("raw", "abcab\n\ncab\n");
    assert_eq!(place.succeed("segment -q -m words raw"), "ab c ab\n\nc ab\n");
}

#[test]
fn races_are_measured() {
    let place = Place::with_corpus(60);
    let report = place.succeed(&format!("measure bilstm -q train.txt {SMALL} -t 2 --passes 1"));
    assert!(report.lines().count() > 3, "{report}");
}

#[test]
fn races_are_simulated_recorded_and_replayed() {
    let place = Place::with_corpus(120);
    let line = |flags: &str| format!("train bilstm -q train.txt {SMALL} --passes 1 {flags}");
    let log = |name: &str| -> Vec<Value> {
        place.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for model in ["a", "b"] {
        let flags = format!("-t 4 --simulate --instruments full -m {model} --log {model}.log");
        place.succeed(&line(&flags));
    }
    assert!(place.read("a") == place.read("b"));
    let pass = log("a.log").into_iter().find(|event| event["event"] == "pass").unwrap();
    let races = &pass["races"]["total"];
    let number = |name: &str| races[name].as_f64().unwrap();
    assert!(number("overlapped_rate") > 0.5 && number("staleness_mean") > 1.0, "{races}");
    assert!(number("probes") > 2.0 && number("cosine_mean") > 0.5, "{races}");

    place.succeed(&line("-t 2 --replicas off --record races -m raced"));
    place.succeed("replay races");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::with_corpus(20);
    place.write("pairs", "U0:%x[0,0]\nB\n");
    place.succeed(&train("--passes 1 -m good"));
    for (flags, cause) in [
        ("--update adf", "--update adf is for crf"),
        ("--update lbfgs", "--update lbfgs is for crf"),
        ("--l2 1", "--l2 is for --update sgd"),
        ("--update sgd --beta-1 0.9", "--beta-1 is for --update adam, momentum"),
        ("--update rmsprop --beta-1 0.9", "--beta-1 is for --update adam, momentum"),
        ("--update momentum --epsilon 0.1", "--epsilon is for --update adam, rmsprop"),
        ("--update momentum --l2 1", "--l2 is for --update sgd: momentum has none"),
        ("--width 10", "--width has 1 lengths: the template words-tags has 3 columns"),
        ("--width 0,1,2", "expected lengths"),
        ("--hidden 0", "--hidden"),
        ("--layers 0", "--layers"),
        ("--characters 5", "expected WIDTH,HIDDEN"),
        ("--dropout 1", "--dropout"),
        ("--unknown 1.5", "--unknown"),
        ("--output svm", "--output"),
        ("--beta-1 1", "--beta-1"),
        ("--beta-1 0.99 --beta-2 0.5", "beta-2"),
        ("--epsilon 0", "--epsilon"),
        ("--clip 0", "--clip"),
        ("--rich-edges", "--rich-edges"),
        ("-p pairs", "--template pairs: its lines are not columns"),
        ("-p chunking", "--template chunking: its lines are not columns"),
        ("--patience 2", "--patience needs --dev"),
    ] {
        let refusal = place.run(&format!("train bilstm -q train.txt {flags} -m no"));
        assert_fails(&refusal, 2, cause);
        assert!(!place.path("no").exists(), "{flags}");
    }
    for (line, cause) in [
        ("train crf -q train.txt --update adam -m no", "--update adam is for bilstm"),
        ("train crf -q train.txt --hidden 8 -m no", "--hidden"),
        ("tag -q -m good --marginals train.txt", "--marginals needs a model of kind crf"),
        ("tag -q -m good --nbest 2 train.txt", "--nbest needs a model of kind crf"),
        ("tag -q -m good --explain train.txt", "--explain needs a model of kind crf"),
        ("tag -q -m good --constraints train.txt", "--constraints needs a model of kind crf"),
        ("dump good", "good: a bilstm has no weights of attributes"),
        ("segment -q -m good train.txt", "not one of segmented text"),
    ] {
        assert_fails(&place.run(line), 2, cause);
    }
}

#[test]
fn labels_are_sequences_that_the_tag_scheme_allows() {
    let place = Place::with_corpus(60);
    for output in ["softmax", "crf"] {
        // After so little training many tokens are wrong.
        let line = train(&format!("--output {output} --passes 1 -m model"));
        place.succeed(&line.replace("--rate 0.01", "--rate 0.002"));
        let labels = |flags: &str| -> Vec<String> {
            let text = tagged(&place, "model", flags);
            text.lines().map(|line| line.rsplit(' ').next().unwrap_or("").to_owned()).collect()
        };
        let n_invalid = |labels: &[String]| {
            let before = std::iter::once("").chain(labels.iter().map(String::as_str));
            let pairs = before.zip(labels);
            let follows = |(before, label): &(&str, &String)| match label.strip_prefix("I-") {
                Some(kind) => before.get(2..) == Some(kind),
                None => true,
            };
            pairs.filter(|pair| !follows(pair)).count()
        };
        assert_eq!(n_invalid(&labels("")), 0, "{output}");
        assert_eq!(labels("--valid"), labels(""), "{output}");
        if output == "softmax" {
            assert!(n_invalid(&labels("--valid=off")) > 0);
        }
        // In IOB1 B stands behind its own type only, and no label begins a chunk otherwise.
        let iob1 = labels("--valid=iob1");
        assert!(!iob1[0].starts_with("B-"), "{output}: {}", iob1[0]);
    }
}

#[test]
fn folds_and_settings_are_tried() {
    let place = Place::with_corpus(60);
    let flags = "--width 16,8,4 --hidden 16 --strategy serial --seed 5";
    let table = place.succeed(&format!("cv bilstm -q train.txt {flags} --folds 3 --passes 2"));
    assert!(table.contains("mean F1") && table.lines().count() == 6, "{table}");
    let line = format!("tune bilstm -q train.txt {flags} -d 20% --trials 4 --max-passes 2");
    let table = place.succeed(&line);
    assert_eq!(place.succeed(&line), table);
    let header = "   F1  accuracy  pass  passes      rate   dropout  min-freq  template";
    assert_eq!(table.lines().next(), Some(header), "{table}");
    let best = table.lines().last().unwrap();
    assert!(best.starts_with("asyn train bilstm train.txt --dev 20%"), "{best}");
    place.succeed(best.strip_prefix("asyn ").unwrap());
    assert!(place.path("model.safetensors").exists());
    for (line, cause) in [
        ("cv bilstm train.txt -m no", "--model is not for cv"),
        ("tune bilstm train.txt", "tune needs --dev"),
    ] {
        assert_fails(&place.run(line), 2, cause);
    }
}

#[test]
fn files_that_are_damaged_are_refused() {
    let place = Place::with_corpus(20);
    place.succeed(&train("--passes 1 --characters 6,5 -m good"));
    let load = || asyn::data::ModelFile::load(place.path("good"), "bilstm").unwrap();
    for (name, value, cause) in [
        ("bilstm.hidden", "17", "expected as many numbers as the shape"),
        ("bilstm.hidden", "0", "the hidden units must be 1 to 16,384"),
        ("bilstm.hidden", "10000000", "the hidden units must be 1 to 16,384"),
        ("bilstm.hidden", "16000", "expected as many numbers as the shape"),
        ("bilstm.layers", "1000000", "the layers must be 1 to 256"),
        ("bilstm.widths", "16,8", "3 columns"),
        ("bilstm.output", "svm", "bilstm.output"),
        ("bilstm.layers", "2", "layer.1"),
        ("bilstm.characters", "6", "bilstm.characters"),
    ] {
        let mut file = load();
        file.metadata.insert(name.to_owned(), value.to_owned());
        file.save(place.path("bad")).unwrap();
        assert_fails(&place.run("tag -q -m bad train.txt"), 65, cause);
    }
    let mut file = load();
    file.tensors.remove("output");
    file.save(place.path("bad")).unwrap();
    assert_fails(&place.run("info bad"), 65, "output");
    let good = place.read("good");
    place.write("cut", &good[..good.len() - 8]);
    assert_fails(&place.run("tag -q -m cut train.txt"), 65, "cut short");
}
