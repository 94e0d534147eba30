//! A recorded run in a file: the order of its events, what it was a run of, and how it ended.
//!
//! | Bytes | Content                                        |
//! | ----- | ---------------------------------------------- |
//! | 8     | `asyn-rec`                                     |
//! | 4     | the version of the format                      |
//! | 8     | n                                              |
//! | n     | the header in TOML and the events, gzipped     |
//! | 4     | the CRC-32 of everything before                |
//!
//! Whole numbers have their lowest byte first. Once unpacked, every number is a varint of seven
//! bits a byte: the length of the header and the header, how many segments there are, and for
//! each how many events and the events. A turn is its worker and its points; an act is
//! 8 · worker + kind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use asyn::core::SplitMix64;
use asyn::core::shared::isa;
use asyn::core::simulate::{Act, Acts, Turn};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::run_folder::write_whole;
use crate::settings::Settings;

const MAGIC: &[u8; 8] = b"asyn-rec";
const FORMAT: u32 = 1;
/// Of magic, format and length.
const FRONT: usize = 20;
const ACTS: [Act; 5] = [Act::Start, Act::Draw, Act::Read, Act::Write, Act::Finish];
/// How many sums weights are summarised by: as many as a byte can name.
pub(crate) const SUMS: usize = 256;

/// What a run did in which order, a list for each segment.
#[derive(Debug)]
pub(crate) enum Events {
    /// Of simulated workers.
    Turns(Vec<Vec<Turn>>),
    /// Of workers on real threads.
    Acts(Vec<Acts>),
}

/// Whether the order of a run is left to itself, kept, or given.
#[derive(Debug, Default)]
pub(crate) enum Tape {
    #[default]
    Off,
    /// To be kept, and replaced by the events once the run has ended.
    Record,
    Given(Events),
}

/// A recorded run.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) header: Header,
    pub(crate) events: Events,
}

/// What a recording is one of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of the program.
    version: String,
    kernels: String,
    /// The seed and the number of workers among them.
    pub(crate) settings: Settings,
    /// What tells model and training data from others.
    pub(crate) fingerprint: BTreeMap<String, String>,
    pub(crate) end: Ending,
}

/// How a run ended.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// Of the bits of the weights after the last pass.
    checksum: String,
    /// The best F1 on development data, in percent.
    pub(crate) dev_f1: Option<f64>,
    /// The weights with random signs, summed in random groups: the difference of two such sketches
    /// is about as long as that of the weights.
    sketch: Vec<f64>,
}

impl Header {
    /// Describes a run of this program on this machine.
    pub(crate) fn new(
        settings: &Settings,
        fingerprint: BTreeMap<String, String>,
        end: Ending,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernels: isa().to_string(),
            settings: settings.clone(),
            fingerprint,
            end,
        }
    }
}

impl Ending {
    /// Summarises the weights that a run ended with.
    pub(crate) fn new(weights: &[f32], dev_f1: Option<f64>) -> Self {
        let mut checksum = Crc::new();
        let mut sketch = vec![0.0; SUMS];
        let mut random = SplitMix64::new(0);
        for weight in weights {
            checksum.update(&weight.to_le_bytes());
            let [group, sign, ..] = random.next_u64().to_le_bytes();
            let signed = if sign < 0x80 { *weight } else { -*weight };
            sketch[usize::from(group)] += f64::from(signed);
        }
        Self { checksum: format!("{:08x}", checksum.sum()), dev_f1, sketch }
    }

    /// Returns whether the weights are the same, to the bit.
    pub(crate) fn has_weights_of(&self, other: &Self) -> bool {
        self.checksum == other.checksum && self.sketch == other.sketch
    }

    /// Estimates the length of the difference of the weights, divided by the length of `other`'s.
    pub(crate) fn distance(&self, other: &Self) -> f64 {
        let length = |sums: &mut dyn Iterator<Item = f64>| sums.map(|sum| sum * sum).sum::<f64>();
        let difference = self.sketch.iter().zip(&other.sketch).map(|(here, there)| here - there);
        (length(&mut { difference }) / length(&mut other.sketch.iter().copied())).sqrt()
    }
}

impl Recording {
    /// Writes the recording, whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let header = toml::to_string(&self.header).expect("a header is numbers and strings");
        let mut bytes = Vec::new();
        put(&mut bytes, header.len() as u64);
        bytes.extend(header.as_bytes());
        match &self.events {
            Events::Turns(segments) => put_segments(&mut bytes, segments, |bytes, turn| {
                put(bytes, turn.worker as u64);
                put(bytes, turn.points);
            }),
            Events::Acts(segments) => put_segments(&mut bytes, segments, |bytes, (worker, act)| {
                let kind = ACTS.iter().position(|other| other == act).unwrap_or_default();
                put(bytes, 8 * *worker as u64 + kind as u64);
            }),
        }
        let failure = Failure::io("write", path);
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        let packed = packed.write_all(&bytes).and_then(|()| packed.finish()).map_err(failure)?;
        let mut file = MAGIC.to_vec();
        file.extend(FORMAT.to_le_bytes());
        file.extend((packed.len() as u64).to_le_bytes());
        file.extend(packed);
        file.extend(checksum(&file).to_le_bytes());
        write_whole(path, &file)
    }

    /// Reads a recording; refuses one that this program cannot replay on this machine.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(Failure::io("read", path))?;
        Self::parse(&bytes).map_err(|fault| Failure::Recording { path: path.to_owned(), fault })
    }

    fn parse(file: &[u8]) -> Result<Self, String> {
        if !file.starts_with(MAGIC) {
            return Err("expected the recording of a run".to_owned());
        }
        let cut = || "the recording is cut short".to_owned();
        let (front, rest) = file.split_at_checked(FRONT).ok_or_else(cut)?;
        let format = number(&front[8..12]);
        if format != u64::from(FORMAT) {
            return Err(format!("expected format {FORMAT} of recordings, found {format}"));
        }
        let length = usize::try_from(number(&front[12..])).map_err(|_| cut())?;
        let (packed, sum) = rest.split_at_checked(length).ok_or_else(cut)?;
        if sum.len() < 4 {
            return Err(cut());
        }
        if number(sum) != u64::from(checksum(&file[..FRONT + length])) {
            return Err("the recording is damaged: its checksum is another".to_owned());
        }
        let mut bytes = Vec::new();
        let unpacked = GzDecoder::new(packed).read_to_end(&mut bytes);
        unpacked.map_err(|error| format!("expected gzip data: {error}"))?;
        let mut bytes = bytes.as_slice();
        let header = take_text(&mut bytes).ok_or("expected a header")?;
        check_version(header)?;
        let header: Header = toml::from_str(header)
            .map_err(|error| format!("expected a header: {}", error.message()))?;
        let kernels = isa().to_string();
        if header.kernels != kernels {
            return Err(format!(
                "recorded with kernels {}, here they are {kernels}",
                header.kernels
            ));
        }
        let events = take_events(&mut bytes, header.settings.simulate);
        match events {
            Some(events) if bytes.is_empty() => Ok(Self { header, events }),
            _ => Err("expected events to the end".to_owned()),
        }
    }
}

/// Refuses the header of another version of the program, whatever else it holds.
fn check_version(header: &str) -> Result<(), String> {
    let table: toml::Table =
        header.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let (there, here) = (table.get("version"), env!("CARGO_PKG_VERSION"));
    match there.and_then(toml::Value::as_str) {
        Some(there) if there == here => Ok(()),
        there => Err(format!("recorded by asyn {}, this is {here}", there.unwrap_or("unknown"))),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Returns the number whose bytes these are, lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn put_segments<T>(bytes: &mut Vec<u8>, segments: &[Vec<T>], put_one: impl Fn(&mut Vec<u8>, &T)) {
    put(bytes, segments.len() as u64);
    for segment in segments {
        put(bytes, segment.len() as u64);
        segment.iter().for_each(|event| put_one(bytes, event));
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn take_segments<T>(
    bytes: &mut &[u8],
    take_one: impl Fn(&mut &[u8]) -> Option<T>,
) -> Option<Vec<Vec<T>>> {
    let n_segments = take(bytes)?;
    (0..n_segments)
        .map(|_| {
            let n_events = take(bytes)?;
            (0..n_events).map(|_| take_one(bytes)).collect()
        })
        .collect()
}

fn take_events(bytes: &mut &[u8], is_simulated: bool) -> Option<Events> {
    if is_simulated {
        let segments = take_segments(bytes, |bytes| {
            Some(Turn { worker: usize::try_from(take(bytes)?).ok()?, points: take(bytes)? })
        });
        segments.map(Events::Turns)
    } else {
        let segments = take_segments(bytes, |bytes| {
            let event = take(bytes)?;
            let act = *ACTS.get(usize::try_from(event % 8).ok()?)?;
            Some((usize::try_from(event / 8).ok()?, act))
        });
        segments.map(Events::Acts)
    }
}
