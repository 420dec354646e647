//! Seeded randomness: the same seed gives the same names, addresses and churn.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The letters of generated names: no vowels, nothing that looks like another.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(StdRng::seed_from_u64(seed))
    }

    /// A number from 0 up to, not including, `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The five letters that end a generated name.
    pub fn suffix(&mut self) -> String {
        (0..5).map(|_| char::from(ALPHABET[self.below(27) as usize])).collect()
    }

    pub fn uid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}
