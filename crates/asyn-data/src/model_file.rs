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

/// A tensor whose numbers stay where they are while a file is written: no copy of all of them is
/// made.
pub struct LentTensor<'a> {
    /// The length of each dimension, the slowest first.
    pub shape: Vec<usize>,
    /// Hands out all numbers in row-major order, some at a time, and ends with the first error of
    /// who takes them.
    pub visit: Box<Visit<'a>>,
}

impl std::fmt::Debug for LentTensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LentTensor").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Calls its argument with all numbers of a tensor, some at a time.
pub type Visit<'a> = dyn Fn(&mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> + 'a;

/// Where the numbers of a tensor are when a file is written.
enum Source<'a> {
    Owned(&'a Tensor),
    Lent(&'a LentTensor<'a>),
}

impl Source<'_> {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Owned(tensor) => &tensor.shape,
            Self::Lent(tensor) => &tensor.shape,
        }
    }

    fn visit(&self, take: &mut dyn FnMut(&[f32]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Owned(tensor) => take(&tensor.values),
            Self::Lent(tensor) => (tensor.visit)(take),
        }
    }
}

/// The tensors of a file that is written, by name.
type Sources<'a> = BTreeMap<&'a str, Source<'a>>;

/// The header of a safetensors file.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    map: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, Entry<'a>>,
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
        self.save_with(path, &BTreeMap::new())
    }

    /// Writes the file as [`ModelFile::save`] does, with `lent` among its tensors.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::save`].
    pub fn save_with(
        &self,
        path: impl AsRef<Path>,
        lent: &BTreeMap<String, LentTensor<'_>>,
    ) -> Result<()> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let fault = |fault| Error::Model { name: name.clone(), fault };
        let sources = self.sources(lent).map_err(fault)?;
        self.check(&sources).map_err(fault)?;
        replace(path, |file| self.write(&sources, file)).map_err(|source| Error::Io {
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
        let fault = |fault| Error::Model { name: "a model".to_owned(), fault };
        let lent = BTreeMap::new();
        let sources = self.sources(&lent).map_err(fault)?;
        self.check(&sources).map_err(fault)?;
        let mut bytes = Vec::new();
        self.write(&sources, &mut bytes).map_err(|source| Error::Io {
            action: "write",
            name: "a model".to_owned(),
            source,
        })?;
        Ok(bytes)
    }

    /// Returns all tensors by name.
    fn sources<'a>(
        &'a self,
        lent: &'a BTreeMap<String, LentTensor<'a>>,
    ) -> Result<Sources<'a>, ModelFault> {
        let mut sources: Sources<'a> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), Source::Owned(tensor)))
            .collect();
        for (name, tensor) in lent {
            if sources.insert(name, Source::Lent(tensor)).is_some() {
                return Err(ModelFault::NameTwice { name: name.clone() });
            }
        }
        Ok(sources)
    }

    /// Refuses what could not be read back.
    fn check(&self, sources: &Sources<'_>) -> Result<(), ModelFault> {
        if let Some(key) = self.metadata.keys().find(|key| key.starts_with(RESERVED)) {
            return Err(ModelFault::ReservedName { name: key.clone() });
        }
        for name in sources.keys().copied().chain(self.blobs.keys().map(String::as_str)) {
            if name == MAP_NAME {
                return Err(ModelFault::ReservedName { name: name.to_owned() });
            }
        }
        if let Some(name) = self.blobs.keys().find(|&name| sources.contains_key(name.as_str())) {
            return Err(ModelFault::NameTwice { name: name.clone() });
        }
        for (&name, source) in sources {
            let shape = source.shape();
            let (mut n_values, mut fault) = (0, None);
            let mut check = |values: &[f32]| {
                fault = fault.take().or(check_finite(name, n_values, values, self.half).err());
                n_values += values.len();
                Ok(())
            };
            source.visit(&mut check).expect("checking has no error of writing");
            let product = shape.iter().try_fold(1_usize, |n, &length| n.checked_mul(length));
            if product != Some(n_values) {
                let (tensor, shape) = (name.to_owned(), shape.to_vec());
                return Err(ModelFault::Shape { tensor, shape, actual: n_values });
            }
            fault.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn write(&self, sources: &Sources<'_>, output: &mut impl Write) -> io::Result<()> {
        let mut header = self.header(sources);
        let mut crc = Crc::new();
        crc.update(&header);
        self.write_data(sources, |bytes| {
            crc.update(bytes);
            Ok(())
        })?;
        let digits = checksum_digits(&header).expect("the header has a checksum");
        header[digits].copy_from_slice(format!("{:08x}", crc.sum()).as_bytes());
        output.write_all(&header)?;
        self.write_data(sources, |bytes| output.write_all(bytes))
    }

    /// Returns what stands before the data, without the checksum.
    fn header(&self, sources: &Sources<'_>) -> Vec<u8> {
        let mut map: BTreeMap<&str, &str> =
            self.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        map.insert(VERSION_KEY, MODEL_VERSION);
        map.insert(KIND_KEY, &self.kind);
        map.insert(CHECKSUM_KEY, NO_CHECKSUM);
        let mut tensors = BTreeMap::new();
        let mut start = 0;
        for (&name, source) in sources {
            let (dtype, n_bytes) = if self.half { ("F16", 2) } else { ("F32", 4) };
            let shape = source.shape();
            let end = start + n_bytes * shape.iter().product::<usize>();
            tensors.insert(name, Entry { dtype, shape, data_offsets: [start, end] });
            start = end;
        }
        let shapes: Vec<[usize; 1]> = self.blobs.values().map(|blob| [blob.len()]).collect();
        for (name, shape) in self.blobs.keys().zip(&shapes) {
            let end = start + shape[0];
            let entry = Entry { dtype: "U8", shape, data_offsets: [start, end] };
            tensors.insert(name.as_str(), entry);
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

    fn write_data(
        &self,
        sources: &Sources<'_>,
        mut output: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = Vec::new();
        for source in sources.values() {
            source.visit(&mut |values| {
                for values in values.chunks(NUMBERS_AT_A_TIME) {
                    buffer.clear();
                    if self.half {
                        let halves = values.iter().map(|&value| to_half(value).to_le_bytes());
                        buffer.extend(halves.flatten());
                    } else {
                        buffer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    }
                    output(&buffer)?;
                }
                Ok(())
            })?;
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
    let lent = BTreeMap::new();
    model.check(&model.sources(&lent)?)?;
    Ok(model)
}

/// Refuses numbers that are not finite as they are written.
fn check_finite(name: &str, first: usize, values: &[f32], half: bool) -> Result<(), ModelFault> {
    let written = |value| if half { from_half(to_half(value)) } else { value };
    match values.iter().position(|&value| !written(value).is_finite()) {
        None => Ok(()),
        Some(idx) => {
            let value = values[idx];
            Err(ModelFault::NotFinite { tensor: name.to_owned(), idx: first + idx, value })
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
