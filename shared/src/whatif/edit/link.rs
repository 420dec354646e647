//! Edit lists as part of an address: compact JSON, deflated (RFC 1951), as base64url without padding (RFC 4648, section 5).
//!
//! Law: `decode(encode(edits)) == edits`. Addresses come from anywhere: what a text may grow to is bounded.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::parse::from_value;
use super::{BadEdits, Edit};

/// Most bytes of JSON in a link.
pub const MOST_BYTES: usize = 1 << 20;
const LEVEL: u8 = 9;

/// Not the text of an edit list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    #[error("the link's edits are not base64url: the link was cut or changed")]
    Base64,
    #[error("the link's edits can't be unpacked, or are larger than {MOST_BYTES} bytes")]
    Deflate,
    #[error("the link's edits are not JSON")]
    Json,
    #[error("the link's edits: {0}")]
    Edits(#[from] BadEdits),
}

/// The list as text of letters, digits, `-` and `_`; empty for the empty list.
pub fn encode(edits: &[Edit]) -> String {
    // Edits serialise to plain JSON: there is nothing that can fail.
    let json = if edits.is_empty() { Vec::new() } else { serde_json::to_vec(edits).unwrap_or_default() };
    if json.is_empty() {
        return String::new();
    }
    URL_SAFE_NO_PAD.encode(compress_to_vec(&json, LEVEL))
}

/// The list again.
pub fn decode(text: &str) -> Result<Vec<Edit>, BadLink> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let packed = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadLink::Base64)?;
    let json = decompress_to_vec_with_limit(&packed, MOST_BYTES).map_err(|_| BadLink::Deflate)?;
    let value = serde_json::from_slice(&json).map_err(|_| BadLink::Json)?;
    Ok(from_value(value)?)
}
