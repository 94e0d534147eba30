//! Run directories: what they hold, and that a run can go on from them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{Place, assert_fails};

const SERIAL: &str = "train crf -q train.txt --strategy serial --seed 5 -d 20% --segment 16";

#[test]
fn a_run_directory_holds_the_whole_run() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt -d 20% --passes 2 --run run -m copy");
    for name in ["config.toml", "metrics.jsonl", "checkpoint/state.safetensors", "report.html"] {
        assert!(place.path("run").join(name).is_file(), "{name}");
    }
    assert!(place.read("run/model.safetensors") == place.read("copy"));
    let settings = place.text("run/config.toml");
    for setting in ["template = \"chunking\"", "strategy = \"asyngrad\"", "rate = ", "replicas = "]
    {
        assert!(settings.contains(setting), "{setting} is not in {settings}");
    }
    let refusal = place.run("train crf train.txt --run run");
    assert_fails(&refusal, 2, "run holds a run already: --resume run goes on");
}

#[test]
fn a_serial_run_that_goes_on_ends_as_if_it_had_not_stopped() {
    let place = Place::with_corpus(60);
    for update in ["adf", "asgd"] {
        let serial = format!("{SERIAL} --update {update}");
        let (whole, parts) = (format!("{update}-whole"), format!("{update}-parts"));
        place.succeed(&format!("{serial} --passes 5 --run {whole}"));
        place.succeed(&format!("{serial} --passes 2 --run {parts}"));
        place.succeed(&format!("train crf -q --resume {parts} --passes 5"));
        let model = |run: &str| place.read(&format!("{run}/model.safetensors"));
        assert!(model(&whole) == model(&parts), "{update}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_saves_and_goes_on_exactly() {
    let place = Place::with_corpus(60);
    let without_q = SERIAL.replace("-q ", "");
    let mut command = place.command(&format!("{without_q} --passes 1000000 --run parts"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("pass 1/")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75), "{last}");
    assert!(last.contains("--resume parts goes on"), "{last}");

    let metrics = place.text("parts/metrics.jsonl");
    let end: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!((&end["event"], &end["stopped"]), (&"end".into(), &true.into()));
    assert!(place.path("parts/model.safetensors").is_file());

    let passes = end["passes"].as_u64().unwrap() + 2;
    place.succeed(&format!("train crf -q --resume parts --passes {passes}"));
    place.succeed(&format!("{SERIAL} --passes {passes} --run whole"));
    assert!(place.read("whole/model.safetensors") == place.read("parts/model.safetensors"));
}

#[test]
fn a_run_of_another_model_is_refused() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt --passes 1 --min-freq 1 --run run");
    place.write("words.txt", "a DT B-NP\nb NN I-NP\n\n".repeat(60));
    // The same labels and sizes; one word differs.
    let first = place.text("train.txt");
    let word = first.split(' ').next().unwrap();
    place.write("other.txt", first.replacen(word, "other", 1));
    let state = || (place.names(), place.read("run/metrics.jsonl"), place.read("run/config.toml"));
    let before = state();
    for (flags, cause) in [
        ("--train words.txt", "another model: labels"),
        ("--train other.txt", "another model: "),
        ("--seed 4", "--seed is 1 in the run of run"),
        ("--template np", "--template is \"chunking\" in the run"),
        ("--rich-edges", "--rich-edges is false in the run"),
        ("--update sgd", "--update is \"adf\" in the run"),
    ] {
        let refusal = place.run(&format!("train crf --resume run --passes 3 {flags}"));
        assert_fails(&refusal, 2, cause);
        assert!(state() == before, "{flags}");
    }
}

#[test]
fn a_checkpoint_that_is_damaged_is_refused() {
    let place = Place::with_corpus(30);
    place.succeed("train crf -q train.txt --passes 1 --run run");
    let whole = place.read("run/checkpoint/state.safetensors");
    place.write("run/checkpoint/state.safetensors", &whole[..whole.len() - 1]);
    assert_fails(&place.run("train crf -q --resume run --passes 2"), 65, "cut short");
    place.write("run/config.toml", "passes = \"many\"");
    assert_fails(&place.run("train crf -q --resume run"), 65, "config.toml: expected the settings");
}
