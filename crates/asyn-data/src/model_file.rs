//! The model file: named tensors, named bytes and a map of strings, in one file.
//!
//! The container is safetensors: eight bytes with the length of a JSON header, the header, the
//! data. Any safetensors reader opens it. What is ours stands in the header's string map:
//!
//! | Key             | Value                                                         |
//! | --------------- | ------------------------------------------------------------- |
//! | `asyn.version`  | the version of this layout                                    |
//! | `asyn.kind`     | what sort of model it is, so that no other sort is loaded     |
//! | `asyn.checksum` | eight hexadecimal digits: the CRC-32 (ISO 3309) of all bytes of the file, with these digits read as zeros |
//!
//! Tensors of `f32`, or all of them of 16 bits, come first, byte tensors behind them, each sort by name; the map is in the
//! order of its keys. So the same content is the same file, byte for byte.
//!
//! A file is written beside its target, synced and renamed: whoever opens the target finds the
//! old model or the new one. Loading reads the whole file and copies the tensors out of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Crc;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Serialize;

use crate::error::{Error, ModelFault, Result};
use crate::half::{from_half, to_half};

/// The version of the layout that this crate reads and writes.
pub const MODEL_VERSION: &str = "1";

/// Keys of the string map that begin so belong to the container.
const RESERVED: &str = "asyn.";
const VERSION_KEY: &str = "asyn.version";
const KIND_KEY: &str = "asyn.kind";
const CHECKSUM_KEY: &str = "asyn.checksum";
const MAP_NAME: &str = "__metadata__";
/// What stands in place of the checksum while it is computed.
const NO_CHECKSUM: &str = "00000000";
/// How many numbers are turned into bytes at a time.
const NUMBERS_AT_A_TIME: usize = 4096;

/// The content of a model file.
///
/// ```
/// use asyn_data::{ModelFile, Tensor};
///
/// let mut model = ModelFile::new("example");
/// model.metadata.insert("seed".to_owned(), "17".to_owned());
/// model.tensors.insert("weights".to_owned(), Tensor::new(&[2, 1], vec![0.5, -1.0]));
/// let path = std::env::temp_dir().join(format!("asyn-example-{}.safetensors", std::process::id()));
/// model.save(&path)?;
/// assert_eq!(ModelFile::load(&path, "example")?, model);
/// # std::fs::remove_file(&path).expect("it was just written");
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelFile {
    /// What sort of model it is.
    pub kind: String,
    /// Strings by name, for settings and scores; keys that begin with `asyn.` are reserved.
    pub metadata: BTreeMap<String, String>,
    /// Weights by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// Bytes by name, for dictionaries and texts.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Whether weights are written in 16 bits, each rounded to the nearest number of that type.
    pub half: bool,
}

/// An array of numbers in row-major order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensor {
    /// The length of each dimension, the slowest first.
    pub shape: Vec<usize>,
    /// The numbers; there are as many as the product of the lengths.
    pub values: Vec<f32>,
}

/// The header of a safetensors file.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    map: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a String, Entry<'a>>,
}

/// What the header says of one tensor.
#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl Tensor {
    /// Makes a tensor of a shape; saving checks that the number of values fits.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), values }
    }
}

impl ModelFile {
    /// Makes an empty model of a kind.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// Writes the file; what was at `path` stays there until everything is written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when writing fails, and [`Error::Model`] when a tensor does not fit its shape
    /// or is not finite, in 16 bits if these are written, or a name is reserved or used twice. The old file is kept in both cases.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.display().to_string();
        self.check().map_err(|fault| Error::Model { name: name.clone(), fault })?;
        replace(path, |file| self.write(file)).map_err(|source| Error::Io {
            action: "write",
            name,
            source,
        })
    }

    /// Reads a file that holds a model of the kind `expected_kind`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be read, otherwise as [`ModelFile::from_bytes`].
    pub fn load(path: impl AsRef<Path>, expected_kind: &str) -> Result<Self> {
        Self::load_one_of(path, &[expected_kind])
    }

    /// Reads a file that holds a model of one of several kinds.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::load`].
    pub fn load_one_of(path: impl AsRef<Path>, expected_kinds: &[&str]) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match fs::read(path) {
            Ok(bytes) => {
                parse(&bytes, expected_kinds).map_err(|fault| Error::Model { name, fault })
            }
            Err(source) => Err(Error::Io { action: "read", name, source }),
        }
    }

    /// Reads the bytes of a file; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] with the reason, when the bytes are not those of a whole, undamaged model
    /// file of this version and of the kind `expected_kind`.
    pub fn from_bytes(name: &str, bytes: &[u8], expected_kind: &str) -> Result<Self> {
        parse(bytes, &[expected_kind])
            .map_err(|fault| Error::Model { name: name.to_owned(), fault })
    }

    /// Returns the bytes of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] as [`ModelFile::save`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check().map_err(|fault| Error::Model { name: "a model".to_owned(), fault })?;
        let mut bytes = Vec::new();
        self.write(&mut bytes).map_err(|source| Error::Io {
            action: "write",
            name: "a model".to_owned(),
            source,
        })?;
        Ok(bytes)
    }

    /// Refuses what could not be read back.
    fn check(&self) -> Result<(), ModelFault> {
        if let Some(key) = self.metadata.keys().find(|key| key.starts_with(RESERVED)) {
            return Err(ModelFault::ReservedName { name: key.clone() });
        }
        for name in self.tensors.keys().chain(self.blobs.keys()) {
            if name == MAP_NAME {
                return Err(ModelFault::ReservedName { name: name.clone() });
            }
        }
        if let Some(name) = self.blobs.keys().find(|&name| self.tensors.contains_key(name)) {
            return Err(ModelFault::NameTwice { name: name.clone() });
        }
        for (name, tensor) in &self.tensors {
            let product = tensor.shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length));
            if product != Some(tensor.values.len()) {
                return Err(ModelFault::Shape {
                    tensor: name.clone(),
                    shape: tensor.shape.clone(),
                    actual: tensor.values.len(),
                });
            }
            check_finite(name, &tensor.values, self.half)?;
        }
        Ok(())
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut header = self.header();
        let mut crc = Crc::new();
        crc.update(&header);
        self.write_data(|bytes| {
            crc.update(bytes);
            Ok(())
        })?;
        let digits = checksum_digits(&header).expect("the header has a checksum");
        header[digits].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
        output.write_all(&header)?;
        self.write_data(|bytes| output.write_all(bytes))
    }

    /// Returns what stands before the data, without the checksum.
    fn header(&self) -> Vec<u8> {
        let mut map: BTreeMap<&str, &str> =
            self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        map.insert(VERSION_KEY, MODEL_VERSION);
        map.insert(KIND_KEY, &self.kind);
        map.insert(CHECKSUM_KEY, NO_CHECKSUM);
        let mut tensors = BTreeMap::new();
        let mut start = 0;
        for (name, tensor) in &self.tensors {
            let (dtype, n_bytes) = if self.half { ("F16", 2) } else { ("F32", 4) };
            let end = start + n_bytes * tensor.values.len();
            let entry = Entry { dtype, shape: &tensor.shape, data_offsets: [start, end] };
            tensors.insert(name, entry);
            start = end;
        }
        let shapes: Vec<[usize; 1]> = self.blobs.values().map(|blob| [blob.len()]).collect();
        for (name, shape) in self.blobs.keys().zip(&shapes) {
            let end = start + shape[0];
            let entry = Entry { dtype: "U8", shape, data_offsets: [start, end] };
            tensors.insert(name, entry);
            start = end;
        }
        let header = Header { map, tensors };
        let mut text = serde_json::to_string(&header).expect("strings and numbers are JSON");
        // The data begin on a multiple of eight bytes.
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    fn write_data(&self, mut output: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = Vec::new();
        for tensor in self.tensors.values() {
            for values in tensor.values.chunks(NUMBERS_AT_A_TIME) {
                buffer.clear();
                if self.half {
                    buffer.extend(values.iter().flat_map(|&value| to_half(value).to_le_bytes()));
                } else {
                    buffer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                }
                output(&buffer)?;
            }
        }
        for blob in self.blobs.values() {
            output(blob)?;
        }
        Ok(())
    }
}

fn parse(bytes: &[u8], expected_kinds: &[&str]) -> Result<ModelFile, ModelFault> {
    let damaged = |error| match error {
        SafeTensorError::HeaderTooSmall
        | SafeTensorError::InvalidHeaderLength
        | SafeTensorError::MetadataIncompleteBuffer => ModelFault::Length { actual: bytes.len() },
        error => ModelFault::Header(error),
    };
    let (header_len, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let map = header.metadata().iter().flatten();
    let mut map: BTreeMap<String, String> =
        map.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut take = |key: &'static str| map.remove(key).ok_or(ModelFault::Foreign { key });
    let version = take(VERSION_KEY)?;
    let kind = take(KIND_KEY)?;
    let checksum = take(CHECKSUM_KEY)?;
    if version != MODEL_VERSION {
        return Err(ModelFault::Version { expected: MODEL_VERSION, actual: version });
    }
    let actual = checksum_of(&bytes[..8 + header_len], &bytes[8 + header_len..])?;
    if actual != checksum {
        return Err(ModelFault::Checksum { expected: checksum, actual });
    }
    if !expected_kinds.contains(&kind.as_str()) {
        let expected: Vec<String> = expected_kinds.iter().map(|kind| format!("{kind:?}")).collect();
        return Err(ModelFault::Kind { expected: expected.join(" or "), actual: kind });
    }
    let mut model = ModelFile::new(&kind);
    model.metadata = map;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    for (name, view) in tensors.iter() {
        match view.dtype() {
            Dtype::F32 => {
                let numbers = view.data().as_chunks::<4>().0.iter();
                let values = numbers.map(|&number| f32::from_le_bytes(number)).collect();
                model.tensors.insert(name.to_owned(), Tensor::new(view.shape(), values));
            }
            Dtype::F16 => {
                let numbers = view.data().as_chunks::<2>().0.iter();
                let values = numbers.map(|&number| from_half(u16::from_le_bytes(number))).collect();
                model.tensors.insert(name.to_owned(), Tensor::new(view.shape(), values));
                model.half = true;
            }
            Dtype::U8 => {
                model.blobs.insert(name.to_owned(), view.data().to_vec());
            }
            other => {
                return Err(ModelFault::Type {
                    tensor: name.to_owned(),
                    actual: format!("{other:?}"),
                });
            }
        }
    }
    model.check()?;
    Ok(model)
}

/// Refuses numbers that are not finite as they are written.
fn check_finite(name: &str, values: &[f32], half: bool) -> Result<(), ModelFault> {
    let written = |value| if half { from_half(to_half(value)) } else { value };
    match values.iter().position(|&value| !written(value).is_finite()) {
        None => Ok(()),
        Some(idx) => {
            Err(ModelFault::NotFinite { tensor: name.to_owned(), idx, value: values[idx] })
        }
    }
}

/// Returns the checksum of a file whose header may have its own filled in.
fn checksum_of(header: &[u8], data: &[u8]) -> Result<String, ModelFault> {
    let digits = checksum_digits(header).ok_or(ModelFault::Foreign { key: CHECKSUM_KEY })?;
    let mut crc = Crc::new();
    crc.update(&header[..digits.start]);
    crc.update(NO_CHECKSUM.as_bytes());
    crc.update(&header[digits.end..]);
    crc.update(data);
    Ok(format!("{:08x}", crc.sum()))
}

/// Finds the digits of the checksum: inside of other strings the quotes would be escaped.
fn checksum_digits(header: &[u8]) -> Option<std::ops::Range<usize>> {
    let key = format!("\"{CHECKSUM_KEY}\":\"");
    let found = header.windows(key.len()).position(|window| window == key.as_bytes())?;
    let start = found + key.len();
    let digits = start..start + NO_CHECKSUM.len();
    (digits.end <= header.len()).then_some(digits)
}

/// Writes a file beside `path`, syncs it, and puts it in the place of `path`.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let partial = partial_path(path)?;
    let written = File::create(&partial).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&partial, path)) {
        // What matters is the first error; where nothing was created there is nothing to remove.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    sync_folder(path)
}

/// Returns where a file is written before it takes the place of `path`.
fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let Some(file_name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let file_name = file_name.to_string_lossy();
    Ok(path.with_file_name(format!(".{file_name}.{}.partial", std::process::id())))
}

/// Makes the renaming last, where a folder can be opened and synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_keeps_the_old_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(&path, "old").unwrap();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let result = replace(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(full())
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
