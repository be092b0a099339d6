//! Inputs made from valid ones by damage: what is almost right gets further into a decoder than noise.

use crate::Corpus;
use bolero::{Driver, ValueGenerator};
use std::{fmt, ops::Bound};

/// Damages of one input at most.
const DAMAGES_MAX: usize = 6;
/// Bytes of noise inserted at once at most.
const NOISE_MAX: usize = 24;
/// Values that lengths, counts and tags are replaced by: the edges of what decoders accept.
const EDGES: [u64; 12] =
    [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// An input, printed as a corpus keeps it: hexadecimal, for `xxd -r -p`.
#[derive(Clone)]
pub struct Input(pub Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Draws inputs of a corpus and damages them.
#[derive(Debug)]
pub struct Damaged {
    inputs: Vec<Vec<u8>>,
}

impl Damaged {
    /// Over all inputs of `corpus`.
    pub fn new(corpus: Corpus) -> Self {
        Self { inputs: corpus.inputs().map(|(_, bytes)| bytes.to_vec()).collect() }
    }

    fn any_input<D: Driver>(&self, driver: &mut D) -> Option<&[u8]> {
        Some(&self.inputs[below(driver, self.inputs.len())?])
    }

    fn damage<D: Driver>(&self, driver: &mut D, bytes: &mut Vec<u8>) -> Option<()> {
        let length = bytes.len();
        let at = below(driver, length + 1)?;
        match below(driver, 9)? {
            0 if at < length => bytes[at] ^= 1 << below(driver, 8)?,
            1 if at < length => bytes[at] = driver.produce()?,
            // An integer at the edge, of any width.
            2 => {
                let width = 1 << below(driver, 4)?;
                let value = EDGES[below(driver, EDGES.len())?].to_be_bytes();
                overwrite(bytes, at, &value[8 - width..]);
            }
            // A count or a length that is off by a little.
            3 if at + 4 <= length => {
                let now = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
                let step = below(driver, 5)? as u32;
                overwrite(bytes, at, &now.wrapping_add(step).wrapping_sub(2).to_be_bytes());
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + below(driver, length - at + 1)?)),
            6 => {
                let noise =
                    (0..below(driver, NOISE_MAX)?).map(|_| driver.produce()).collect::<Option<Vec<u8>>>()?;
                bytes.splice(at..at, noise);
            }
            // A piece of the same input again, elsewhere.
            7 => {
                let piece = piece(driver, bytes)?.to_vec();
                bytes.splice(at..at, piece);
            }
            // A piece of another input, in place of what is there.
            _ => {
                let other = self.any_input(driver)?;
                overwrite(bytes, at, piece(driver, other)?);
            }
        }
        Some(())
    }
}

impl ValueGenerator for Damaged {
    type Output = Input;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Input> {
        let mut bytes = self.any_input(driver)?.to_vec();
        for _ in 0..=below(driver, DAMAGES_MAX)? {
            self.damage(driver, &mut bytes)?;
        }
        Some(Input(bytes))
    }
}

/// A number below `end`, which is not zero.
fn below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Included(&0), Bound::Excluded(&end))
}

/// Some bytes in a row.
fn piece<'a, D: Driver>(driver: &mut D, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let from = below(driver, bytes.len() + 1)?;
    let length = below(driver, bytes.len() - from + 1)?;
    Some(&bytes[from..from + length])
}

/// Writes over what is at `at`, and past the end if need be.
fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    let end = bytes.len().min(at + with.len());
    bytes.splice(at..end, with.iter().copied());
}
