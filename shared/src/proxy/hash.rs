//! The hashes in kube-proxy's chain names: the head of the base32 (RFC 4648) of a SHA-256.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The first `N` characters of base32(SHA-256(parts joined)). `N` is at most 51.
pub(super) fn base32_sha256<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    let digest = hasher.finalize();
    std::array::from_fn(|nth| {
        let bit = nth * 5;
        let pair = u16::from(digest[bit / 8]) << 8 | u16::from(*digest.get(bit / 8 + 1).unwrap_or(&0));
        ALPHABET[usize::from(pair >> (11 - bit % 8) & 31)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_kube_proxys() {
        let text = |parts: &[&str]| String::from_utf8(base32_sha256::<16>(parts).to_vec()).unwrap();
        assert_eq!(text(&["ns1/a:p80", "tcp"]), "RJR5Z2XEZW2NGSZC");
        assert_eq!(text(&["ns1/a:p80", "tcp", "10.180.0.1:8080"]), "L33NZCJDMDEOHPHM");
        assert_eq!(text(&["ns1/a:p80", "tcp", "[fd00:10:180::1]:8080"]), "XISFVWMBTYS3T7JF");
        assert_eq!(text(&["ns1/aff", "tcp"]), "5DSKW6KA4GGQ7NQ3");
    }
}
