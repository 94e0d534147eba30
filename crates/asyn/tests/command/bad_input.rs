//! Bad input: one line about the cause, the right status, and nothing left behind.

use std::fs;

use flate2::Crc;

use crate::place::{Place, assert_fails};

const TRAIN: &str = "train crf -q -t 1 --passes 1 -m new.model";

/// Checks that a command fails and changes nothing.
#[track_caller]
fn refused(place: &Place, line: &str, status: i32, cause: &str) {
    let before = place.names();
    assert_fails(&place.run(line), status, cause);
    assert_eq!(place.names(), before);
}

/// A folder with a corpus and a model of it.
fn with_model() -> Place {
    let place = Place::with_corpus(20);
    place.succeed("train crf -q train.txt --passes 1 -m good.model");
    place
}

#[test]
fn malformed_corpora() {
    let place = with_model();
    place.write("empty", "");
    place.write("blank", "\n \n\n");
    place.write("ragged", "a DT O\nb NN\n");
    place.write("latin1", b"a DT O\nc NN O\nb\xe9 NN O\n");
    place.write("narrow", "a\nb\n");
    place.write("cut.gz", [0x1f, 0x8b, 8, 0]);
    for (file, cause) in [
        ("empty", "empty: expected lines of columns"),
        ("blank", "blank: expected lines of columns"),
        ("ragged", "ragged:2: expected 3 columns"),
        ("latin1", "latin1:3: expected UTF-8"),
        ("narrow", "narrow: expected 2 columns, found 1"),
        ("cut.gz", "cut.gz: expected gzip data that are whole"),
    ] {
        refused(&place, &format!("{TRAIN} {file}"), 65, cause);
        refused(&place, &format!("tag -q -m good.model {file}"), 65, cause);
        refused(&place, &format!("eval {file}"), 65, cause);
    }
    refused(&place, &format!("{TRAIN} train.txt --dev narrow"), 65, "expected 3 columns");
}

#[test]
fn a_stream_is_checked_behind_its_first_block() {
    let place = with_model();
    let long = place.text("train.txt").repeat(60);
    let n_lines = long.lines().count();
    let output = place.run_on("tag -q -m good.model -t 3", format!("{long}a\tb\n"));
    assert_eq!(output.status.code(), Some(65));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("standard input:") && errors.contains("found 2"), "{errors}");
    let output = place.run_on("tag -q -m good.model", [long.as_bytes(), b"\xff b c\n"].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains(&format!("standard input:{}:", n_lines + 1)), "{errors}");
}

#[test]
fn impossible_bounds_delays_and_instruments() {
    let place = with_model();
    for (flags, cause) in [
        ("--staleness 3", "--staleness is for --strategy bounded"),
        ("--strategy locked --staleness 3", "--staleness is for --strategy bounded"),
        ("--strategy bounded --staleness=-1", "--staleness"),
        ("--update lbfgs --strategy serial --delay 50", "--update lbfgs has no steps"),
        ("--delay 0", "expected a mean above 0 and at most 1000000 microseconds"),
        ("--delay inf", "expected a mean above 0"),
        ("--delay 50:1.5", "expected a share of steps above 0 and at most 1"),
        ("--delay 50:0", "expected a share of steps above 0 and at most 1"),
        ("--instruments all", "--instruments"),
        ("--update lbfgs --strategy asyngrad", "--update lbfgs is for --strategy minibatch"),
        ("--update sgd --l2-form per-window", "--update sgd has exact, per-pass"),
        ("--l2-form exact", "--update adf has on-touch, per-window, per-pass"),
        ("--update adaptive-revision --replicas 8", "replicas"),
        ("--update lbfgs --sr-length 3", "--update lbfgs minimises one function"),
        ("--update lbfgs --strategy serial --simulate", "--update lbfgs cannot be simulated"),
        ("--update lbfgs --instruments full", "--update lbfgs has no races"),
        ("--update lbfgs --record run.rec", "lbfgs cannot be recorded"),
        ("--patience 2", "--patience needs --dev"),
        ("--patience 0 -d 20%", "--patience"),
        ("--patience 2 -d 20% --record run.rec", "cannot be recorded"),
        ("--init good.model -p np", "--init good.model: its template is chunking, not np"),
        ("--prune=-1", "--prune"),
        ("--sr-length 0", "--sr-length"),
        ("--sr-length 3 --sr-pieces 2", "cannot be used with"),
    ] {
        let line = format!("train crf -q train.txt -m new.model {flags}");
        refused(&place, &line, 2, cause);
    }
    refused(&place, "measure crf -q train.txt --instruments off", 2, "leaves nothing to measure");
    refused(&place, "measure crf -q missing.txt", 66, "missing.txt");
    refused(&place, "doctor async -q missing.txt", 66, "missing.txt");
    refused(&place, "doctor async -q", 2, "TRAIN");
    refused(&place, "doctor async -q train.txt --sentences 0", 2, "--sentences");
    place.write("one", "a DT O\n");
    refused(&place, "doctor async -q one", 2, "leaves nothing of 1 sentences");
}

#[test]
fn impossible_simulations() {
    let place = with_model();
    for (flags, cause) in [
        ("--simulate --threads 0", "threads"),
        ("--simulate --threads 257", "at most 256 workers can be simulated"),
        ("--simulate --strategy minibatch", "minibatch cannot be simulated"),
        ("--simulate --cost miss=-1", "miss: expected nanoseconds, 0 or more"),
        ("--simulate --cost disk=5", "disk is not one of load, store, miss, compute, grain"),
        ("--cost miss=5", "--simulate"),
    ] {
        let line = format!("train crf -q train.txt -m new.model {flags}");
        refused(&place, &line, 2, cause);
    }
}

#[test]
fn missing_files() {
    let place = with_model();
    for line in [
        format!("{TRAIN} none"),
        format!("{TRAIN} train.txt --dev none"),
        format!("{TRAIN} train.txt --template none"),
        format!("{TRAIN} train.txt --init none"),
        "train crf --resume none".to_owned(),
        "tag -m good.model none".to_owned(),
        "tag -m none train.txt".to_owned(),
        "eval none".to_owned(),
        "info none".to_owned(),
    ] {
        refused(&place, &line, 66, "none");
    }
    refused(&place, "train crf train.txt -q -m none/model", 74, "cannot write none/model");
    refused(&place, "train crf train.txt -q -m .", 74, "not a plain file");
}

#[test]
fn templates_that_do_not_fit() {
    let place = Place::with_corpus(5);
    place.write("wide", "U0:%x[0,0]\nU1:%x[0,2]\nB\n");
    place.write("broken", "U0:%x[0]\n");
    refused(&place, &format!("{TRAIN} train.txt -p wide"), 65, "wide:2: expected a column");
    refused(
        &place,
        &format!("{TRAIN} train.txt -p broken"),
        65,
        "broken:1: expected %x[row,column]",
    );
    place.write("macro", "U0:%stem[0,0]\n");
    refused(&place, &format!("{TRAIN} train.txt -p macro"), 65, "macro:1: expected %x[row,column]");
    place.write("words", "a O\nb O\n");
    refused(&place, &format!("{TRAIN} words -p chunking"), 65, "expected a column");
}

#[test]
fn lexicons_that_do_not_fit() {
    let place = Place::with_corpus(5);
    place.write("latin1", b"caf\xc3\xa9\ncaf\xe9\n");
    refused(&place, &format!("{TRAIN} train.txt -p seg --lexicon none"), 66, "cannot open none");
    refused(
        &place,
        &format!("{TRAIN} train.txt -p seg --lexicon latin1"),
        65,
        "latin1:2: expected",
    );
    refused(&place, &format!("{TRAIN} train.txt --lexicon latin1"), 2, "%word or %known");
}

#[test]
fn numbers_out_of_range() {
    let place = Place::with_corpus(5);
    for (flags, cause) in [
        ("--threads 0", "--threads"),
        ("--passes 0", "--passes"),
        ("--l2=-1", "--l2"),
        ("--l2 NaN", "--l2"),
        ("--rate 0", "--rate"),
        ("--rate inf", "--rate"),
        ("--decay 1.5", "--decay"),
        ("--sparse-threshold 1", "--sparse-threshold"),
        ("--replicas many", "--replicas"),
        ("--replicas 8 --read snapshot", "exclude each other"),
        ("--strategy magic", "--strategy"),
        ("--dev 0%", "--dev 0%"),
        ("--dev 99%", "leaves nothing"),
        ("--dev x%", "--dev x%"),
        ("--train train.txt", "cannot be used with"),
    ] {
        refused(&place, &format!("{TRAIN} train.txt {flags}"), 2, cause);
    }
    refused(&place, "train crf train.txt", 2, "--model or --run");
    refused(&place, "train crf -m x", 2, "training file");
}

/// Puts the right checksum into the bytes of a model file that were changed.
fn seal(bytes: &mut [u8]) {
    let key = b"\"asyn.checksum\":\"";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    bytes[at..at + 8].copy_from_slice(b"00000000");
    let mut crc = Crc::new();
    crc.update(bytes);
    bytes[at..at + 8].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
}

#[test]
fn models_that_are_damaged() {
    let place = with_model();
    let good = place.read("good.model");
    let header = usize::try_from(u64::from_le_bytes(good[..8].try_into().unwrap())).unwrap();
    let changed = |change: fn(&mut [u8], usize)| {
        let mut bytes = good.clone();
        change(&mut bytes, 8 + header);
        bytes
    };
    place.write("cut", &good[..good.len() / 2]);
    place.write("header", &good[..100]);
    place.write("flipped", changed(|bytes, data| bytes[data + 1000] ^= 4));
    place.write("nan", {
        changed(|bytes, data| {
            bytes[data..data + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            seal(bytes);
        })
    });
    place.write("text", "no model at all, but long enough to have a header");
    asyn::data::ModelFile::new("other").save(place.path("other")).unwrap();
    asyn::data::ModelFile::new("crf").save(place.path("hollow")).unwrap();
    for (file, cause) in [
        ("cut", "cut short"),
        ("header", "header"),
        ("flipped", "checksum"),
        ("nan", "found NaN in tensor \"edge\" at 0"),
        ("text", "header"),
        ("other", "expected a model of kind \"crf\" or \"bilstm\", found \"other\""),
        ("hollow", "missing"),
    ] {
        refused(&place, &format!("tag -q -m {file} train.txt"), 65, cause);
        refused(&place, &format!("info {file}"), 65, cause);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_the_old_model() {
    let place = with_model();
    let before = (place.names(), place.read("good.model"));
    // A limit on the size of files fails writes as a full disk does.
    let script =
        r#"trap "" XFSZ; ulimit -f 8; exec "$0" train crf -q train.txt --passes 1 -m good.model"#;
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_asyn")])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert_fails(&output, 74, "cannot write good.model: ");
    assert_eq!((place.names(), place.read("good.model")), before);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_fails_every_verb_that_writes_to_it() {
    let place = with_model();
    place.write("tagged", "a O O\n");
    for line in
        ["eval tagged", "info good.model", "tag -q -m good.model train.txt", "gen -q chunking"]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(line).stdout(full).output().unwrap();
        assert_fails(&output, 74, "cannot write standard output");
    }
    refused(&place, &format!("{TRAIN} train.txt --log /dev/full"), 74, "cannot write /dev/full");
    refused(&place, "gen chunking -q --out /dev/full", 74, "not a plain file");
}
