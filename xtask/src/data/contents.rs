//! The contents of corpus files: packing, unpacking and sums.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Returns the SHA-256 of the contents of `bytes`, in hexadecimal.
///
/// # Errors
///
/// When `bytes` start as gzip and do not go on so.
pub(super) fn sum(bytes: &[u8]) -> io::Result<String> {
    let digest = Sha256::digest(unpack(bytes.to_vec())?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns `bytes` packed or unpacked as the name of the file asks: packed
/// where it ends in `.gz`.
///
/// # Errors
///
/// As [`sum`].
pub(super) fn pack_as(name: &str, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    match (name.ends_with(".gz"), bytes.starts_with(GZIP_MAGIC)) {
        (true, false) => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&bytes)?;
            packed.finish()
        }
        (false, true) => unpack(bytes),
        _ => Ok(bytes),
    }
}

fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut contents = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut contents)?;
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4: the message "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_sum_is_of_the_contents() {
        assert_eq!(sum(b"abc").unwrap(), ABC);
        let packed = pack_as("abc.gz", b"abc".to_vec()).unwrap();
        assert_ne!(packed, b"abc");
        assert_eq!(sum(&packed).unwrap(), ABC);
    }

    #[test]
    fn a_file_is_packed_as_its_name_asks() {
        let packed = pack_as("abc.gz", b"abc".to_vec()).unwrap();
        assert_eq!(pack_as("abc.gz", packed.clone()).unwrap(), packed);
        assert_eq!(pack_as("abc.txt", packed).unwrap(), b"abc");
        assert_eq!(pack_as("abc.txt", b"abc".to_vec()).unwrap(), b"abc");
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let packed = pack_as("abc.gz", b"abc".to_vec()).unwrap();
        assert!(sum(&packed[..packed.len() - 1]).is_err());
    }
}
