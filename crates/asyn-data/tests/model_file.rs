//! Model files: what is saved is loaded, and everything else is refused with its reason.

use std::fs;

use asyn_data::{Error, ModelFault, ModelFile, Tensor};

fn example() -> ModelFile {
    let mut model = ModelFile::new("crf");
    model.metadata.insert("quoted".to_owned(), "\"asyn.checksum\":\"deadbeef\" ü\n".to_owned());
    model.metadata.insert("a".to_owned(), String::new());
    model.tensors.insert(
        "node".to_owned(),
        Tensor::new(&[2, 3], vec![0.0, -1.5, 1e-40, f32::MAX, 2.0, -0.0]),
    );
    model.tensors.insert("none".to_owned(), Tensor::new(&[0, 7], Vec::new()));
    model.tensors.insert("scalar".to_owned(), Tensor::new(&[], vec![3.0]));
    model.blobs.insert("words".to_owned(), b"a\nb\n\0\xff".to_vec());
    model.blobs.insert("empty".to_owned(), Vec::new());
    model
}

/// Reads the bytes and returns why they are refused.
fn refusal(bytes: &[u8]) -> Option<ModelFault> {
    match ModelFile::from_bytes("file", bytes, "crf") {
        Ok(_) => None,
        Err(Error::Model { fault, .. }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

/// Replaces one text in the bytes by another of the same length.
fn with(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old.as_bytes()).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    bytes
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, "an older file").unwrap();
    let model = example();
    model.save(&path).unwrap();
    assert_eq!(ModelFile::load(&path, "crf").unwrap(), model);
    assert_eq!(fs::read(&path).unwrap(), model.to_bytes().unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
}

#[test]
fn a_stock_reader_finds_the_tensors() {
    let bytes = example().to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let node = file.tensor("node").unwrap();
    assert_eq!((node.dtype(), node.shape()), (safetensors::Dtype::F32, &[2, 3][..]));
    assert_eq!(node.data()[4..8], (-1.5_f32).to_le_bytes());
    assert_eq!(file.tensor("words").unwrap().data(), b"a\nb\n\0\xff");
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header_len % 8, 0, "the data are aligned");
}

#[test]
fn a_file_that_is_cut_short_is_refused_at_every_length() {
    let bytes = example().to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(refusal(&bytes[..length]).is_some(), "{length} of {} bytes", bytes.len());
    }
    assert!(matches!(refusal(&bytes[..bytes.len() - 1]), Some(ModelFault::Length { .. })));
    assert!(matches!(refusal(&bytes[..5]), Some(ModelFault::Length { actual: 5 })));
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(refusal(&longer), Some(ModelFault::Length { .. })));
    assert!(refusal(&bytes).is_none());
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let bytes = example().to_bytes().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(refusal(&damaged).is_some(), "bit {bit} of byte {at}");
        }
    }
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(refusal(&damaged), Some(ModelFault::Checksum { .. })));
}

#[test]
fn other_kinds_versions_and_files_are_refused() {
    let bytes = example().to_bytes().unwrap();
    let error = ModelFile::from_bytes("file", &bytes, "hmm").unwrap_err();
    assert_eq!(error.to_string(), "file: expected a model of kind \"hmm\", found \"crf\"");
    let other_version = with(&bytes, "\"asyn.version\":\"1\"", "\"asyn.version\":\"2\"");
    assert!(matches!(refusal(&other_version), Some(ModelFault::Version { .. })));
    let foreign = with(&bytes, "asyn.kind", "asyn.kinD");
    assert!(matches!(refusal(&foreign), Some(ModelFault::Foreign { key: "asyn.kind" })));
    let nothing = b"\x02\0\0\0\0\0\0\0{}";
    assert!(matches!(refusal(nothing), Some(ModelFault::Foreign { .. })));
    assert!(matches!(refusal(b"PK\x03\x04 a zip archive"), Some(ModelFault::Header(_))));
}

#[test]
fn numbers_that_are_not_finite_are_neither_written_nor_read() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut model = example();
        model.tensors.get_mut("node").unwrap().values[4] = value;
        let error = model.to_bytes().unwrap_err();
        let Error::Model { fault: ModelFault::NotFinite { tensor, idx, .. }, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((tensor.as_str(), idx), ("node", 4));
    }

    // A writer that does not look, but computes the checksum.
    let mut bytes = example().to_bytes().unwrap();
    let two = bytes.windows(4).rposition(|window| window == 2.0_f32.to_le_bytes()).unwrap();
    bytes[two..two + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let Some(ModelFault::Checksum { expected, actual }) = refusal(&bytes) else {
        panic!("the checksum does not fit");
    };
    let repaired = with(&bytes, &expected, &actual);
    assert!(matches!(refusal(&repaired), Some(ModelFault::NotFinite { idx: 4, .. })));
}

#[test]
fn names_and_shapes_that_could_not_be_read_back_are_not_written() {
    let fault = |change: &dyn Fn(&mut ModelFile)| {
        let mut model = example();
        change(&mut model);
        match model.to_bytes().unwrap_err() {
            Error::Model { fault, .. } => fault.to_string(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        fault(&|model| drop(model.metadata.insert("asyn.kind".to_owned(), String::new()))),
        "the name \"asyn.kind\" is reserved"
    );
    assert_eq!(
        fault(&|model| drop(model.blobs.insert("__metadata__".to_owned(), Vec::new()))),
        "the name \"__metadata__\" is reserved"
    );
    assert_eq!(
        fault(&|model| drop(model.blobs.insert("node".to_owned(), Vec::new()))),
        "the name \"node\" is used twice"
    );
    assert_eq!(
        fault(&|model| drop(model.tensors.insert("t".to_owned(), Tensor::new(&[2], vec![0.0])))),
        "expected as many numbers as the shape [2] has, found 1 in tensor \"t\""
    );
}

#[test]
fn the_old_file_is_kept_when_saving_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    example().save(&path).unwrap();
    let old = fs::read(&path).unwrap();

    // The place of the partial file is taken, as if it could not be written.
    let partial = folder.path().join(format!(".model.{}.partial", std::process::id()));
    fs::create_dir(&partial).unwrap();
    let mut other = example();
    other.metadata.clear();
    assert!(matches!(other.save(&path), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), old);
    fs::remove_dir(&partial).unwrap();

    let not_finite = Tensor::new(&[1], vec![f32::NAN]);
    other.tensors.insert("bad".to_owned(), not_finite);
    assert!(matches!(other.save(&path), Err(Error::Model { .. })));
    assert_eq!(fs::read(&path).unwrap(), old);

    // A folder stands where the file should go: the renaming fails.
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(matches!(example().save(&taken), Err(Error::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no partial file is left");

    let vanished = folder.path().join("vanished");
    assert!(matches!(example().save(vanished.join("model")), Err(Error::Io { .. })));
    assert!(matches!(example().save(""), Err(Error::Io { .. })));
    assert!(!vanished.exists());
}

#[test]
fn a_missing_file_is_an_error_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    match ModelFile::load(folder.path().join("absent"), "crf").unwrap_err() {
        Error::Io { source, .. } => assert_eq!(source.kind(), std::io::ErrorKind::NotFound),
        other => panic!("{other}"),
    }
}

#[test]
fn weights_in_16_bits_come_back_rounded() {
    let mut model = ModelFile::new("example");
    let values = [0.5, -1.0, 0.1, 1e-9].repeat(100);
    model.tensors.insert("weights".to_owned(), Tensor::new(&[4, 100], values.clone()));
    model.blobs.insert("text".to_owned(), b"as it is".to_vec());
    let whole = model.to_bytes().unwrap();
    model.half = true;
    let bytes = model.to_bytes().unwrap();
    assert!(bytes.len().abs_diff(whole.len() - 800) <= 8, "two bytes less a weight");
    let back = ModelFile::from_bytes("half", &bytes, "example").unwrap();
    for (back, value) in back.tensors["weights"].values.iter().zip(values) {
        assert!((back - value).abs() <= value.abs() / 2048.0 + 3e-8, "{back} {value}");
    }
    assert_eq!(back.blobs, model.blobs);
    assert_eq!(back.to_bytes().unwrap(), bytes);
    model.tensors.insert("large".to_owned(), Tensor::new(&[1], vec![70_000.0]));
    assert!(model.to_bytes().is_err(), "no number of 16 bits is that large");
}
