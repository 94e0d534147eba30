//! Recorded runs that are repeated, and recordings that are refused.

use flate2::Crc;

use crate::place::{Place, assert_fails, errors};

const SIMULATED: &str = "train crf -q train.txt -d 20% --passes 2 --segment 30 --simulate";

#[test]
fn a_simulated_run_comes_back_to_the_bit() {
    let place = Place::with_corpus(100);
    for flags in [
        "--threads 2",
        "--threads 5 --cost grain=0 --replicas off",
        "--threads 2 --strategy locked",
        "--threads 5 --strategy locked --update sgd",
        "--threads 3 --strategy round-robin",
    ] {
        place.succeed(&format!("{SIMULATED} {flags} -m run.model --record run.rec"));
        let said = place.succeed("replay -q run.rec --model again.model");
        assert!(said.starts_with("weights: those of the run, to the bit\ndev F1: "), "{said}");
        assert!(tensors(&place, "run.model") == tensors(&place, "again.model"), "{flags}");
    }
}

#[test]
fn a_run_on_real_threads_has_one_replay() {
    let place = Place::with_corpus(100);
    let train = "train crf -q train.txt -d 20% --passes 2 --segment 30 -m run.model";
    for strategy in ["asyngrad", "locked", "round-robin"] {
        place.succeed(&format!("{train} --strategy {strategy} --threads 2 --record run.rec"));
        let said = ["a", "b"].map(|model| place.succeed(&format!("replay -q run.rec -m {model}")));
        assert!(said[0].contains("weights: ") && said[0].contains("dev F1: "), "{}", said[0]);
        assert_eq!(said[0], said[1]);
        assert!(place.read("a") == place.read("b"), "{strategy}");
    }
    place.succeed(&format!("{train} --threads 1 --record run.rec"));
    let said = place.succeed("replay -q run.rec -m again.model");
    assert!(said.contains("weights: those of the run, to the bit"), "{said}");
    assert!(tensors(&place, "run.model") == tensors(&place, "again.model"));
}

#[test]
fn a_recording_is_of_a_whole_new_run() {
    let place = Place::with_corpus(20);
    place.succeed("train crf -q train.txt --passes 1 --run run");
    for (line, status, cause) in [
        ("train crf --resume run --passes 2 --record run.rec", 2, "cannot be used with"),
        ("train crf train.txt -m m --strategy minibatch --record r", 2, "cannot be recorded"),
        ("train crf -q train.txt -m m --record none/r", 74, "cannot write none/r"),
        ("replay none", 66, "none"),
    ] {
        let before = place.names();
        assert_fails(&place.run(line), status, cause);
        assert_eq!(place.names(), before);
    }
}

/// Returns the model file without what it says about itself.
fn tensors(place: &Place, name: &str) -> Vec<u8> {
    let bytes = place.read(name);
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    bytes[8 + header..].to_vec()
}

/// Puts the right checksum under the bytes of a recording that were changed.
fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let mut crc = Crc::new();
    crc.update(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.sum().to_le_bytes());
}

#[test]
fn recordings_that_cannot_be_replayed() {
    let place = Place::with_corpus(40);
    let train = "train crf -q train.txt --passes 1 --threads 2 -m run.model --record";
    place.succeed(&format!("{train} good"));
    let good = place.read("good");
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    place.write("empty", "");
    place.write("cut", &good[..good.len() / 2]);
    place.write("front", &good[..10]);
    place.write("tail", &good[..good.len() - 1]);
    place.write("flipped", changed(|bytes| bytes[200] ^= 4));
    place.write("format", changed(|bytes| bytes[8] += 1));
    place.write(
        "other",
        changed(|bytes| {
            let end = bytes.len() - 100;
            bytes[end] ^= 1;
            seal(bytes);
        }),
    );
    for (file, cause) in [
        ("empty", "expected the recording of a run"),
        ("train.txt", "expected the recording of a run"),
        ("run.model", "expected the recording of a run"),
        ("cut", "cut short"),
        ("front", "cut short"),
        ("tail", "cut short"),
        ("flipped", "checksum"),
        ("format", "expected format 1 of recordings, found 2"),
        ("other", "other: expected"),
    ] {
        let before = place.names();
        assert_fails(&place.run(&format!("replay -q {file} -m new.model")), 65, cause);
        assert_eq!(place.names(), before);
    }
    for bit in (0..8 * good.len()).step_by(991) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        place.write("flipped", &bytes);
        assert_fails(&place.run("replay -q flipped"), 65, "flipped: ");
    }
}

#[test]
fn a_recording_of_another_program_corpus_or_model() {
    let place = Place::with_corpus(40);
    place.succeed("train crf -q train.txt --passes 1 -f 1 --threads 2 -m run.model --record good");
    let version = env!("CARGO_PKG_VERSION");
    place.write("old", repacked(&place.read("good"), version, "0.0.0"));
    assert_fails(
        &place.run("replay old"),
        65,
        &format!("recorded by asyn 0.0.0, this is {version}"),
    );

    // The same labels and sizes; one word differs.
    let text = place.text("train.txt");
    let word = text.split(' ').next().unwrap();
    place.write("other.txt", text.replacen(word, "other", 1));
    place.write("words.txt", "a DT B-NP\nb NN I-NP\n\n".repeat(60));
    for (file, cause) in [("other.txt", "another model: "), ("words.txt", "another model: labels")]
    {
        let refusal = place.run(&format!("replay -q good --train {file} -m new.model"));
        assert_fails(&refusal, 2, cause);
        assert!(!place.path("new.model").exists());
    }
    std::fs::remove_file(place.path("train.txt")).unwrap();
    assert!(errors(&place.run("replay good")).contains("train.txt"));
    place.write("moved.txt", text);
    place.succeed("replay -q good --train moved.txt");
}

/// Unpacks a recording, replaces one text of its header by another of the same length, and packs
/// it again.
fn repacked(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    use flate2::{Compression, read::GzDecoder, read::GzEncoder};
    use std::io::Read;

    let mut unpacked = Vec::new();
    GzDecoder::new(&bytes[20..bytes.len() - 4]).read_to_end(&mut unpacked).unwrap();
    let at = unpacked.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
    unpacked[at..at + to.len()].copy_from_slice(to.as_bytes());
    let mut packed = Vec::new();
    GzEncoder::new(unpacked.as_slice(), Compression::fast()).read_to_end(&mut packed).unwrap();
    let length = (packed.len() as u64).to_le_bytes();
    let mut file = [&bytes[..12], &length, &packed, &[0; 4]].concat();
    seal(&mut file);
    file
}
