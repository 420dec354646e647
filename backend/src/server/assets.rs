//! The frontend, carried inside the binary: content types, immutable caching, compression, and the index page with its base
//! path and the hashes of its inline scripts.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::security::BasePath;

/// Built by trunk. Missing in checks and tests; the release build refuses to go without (`build.rs`).
#[derive(RustEmbed)]
#[folder = "../dist"]
#[allow_missing = true]
struct Dist;

/// What the index page must hold, to be moved below a base path.
const BASE_TAG: &str = r#"<base href="/">"#;

/// The files of the app. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Assets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    index: Option<Asset>,
    files: BTreeMap<String, Asset>,
    script_hashes: Arc<[String]>,
}

#[derive(Debug)]
struct Asset {
    content_type: String,
    etag: String,
    plain: Bytes,
    brotli: OnceLock<Option<Bytes>>,
}

/// The index page can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetsError {
    #[error("dist/index.html has no {BASE_TAG}, so it cannot be moved below a base path")]
    NoBaseTag,
    #[error("dist/index.html is not UTF-8")]
    NotText,
}

impl Assets {
    /// The embedded files, for an app that lives at `base`.
    pub fn embedded(base: &BasePath) -> Result<Assets, AssetsError> {
        let files =
            Dist::iter().filter_map(|name| Some((name.to_string(), Dist::get(&name)?.data.into_owned())));
        Assets::new(files, base)
    }

    /// Any files by name; `index.html` is the page.
    pub fn new(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
        base: &BasePath,
    ) -> Result<Assets, AssetsError> {
        let mut inner = Inner { index: None, files: BTreeMap::new(), script_hashes: Arc::new([]) };
        for (name, data) in files {
            if name == "index.html" {
                let page = String::from_utf8(data).map_err(|_| AssetsError::NotText)?;
                if !page.contains(BASE_TAG) {
                    return Err(AssetsError::NoBaseTag);
                }
                inner.script_hashes = inline_scripts(&page).into_iter().map(csp_hash).collect();
                let page = page.replace(BASE_TAG, &format!(r#"<base href="{base}">"#));
                inner.index = Some(Asset::new("text/html; charset=utf-8".to_owned(), page.into_bytes()));
            } else {
                let guess = mime_guess::from_path(&name).first_or_octet_stream();
                let text = guess.type_() == "text" || guess.subtype() == "javascript";
                let charset = if text { "; charset=utf-8" } else { "" };
                inner.files.insert(name, Asset::new(format!("{guess}{charset}"), data));
            }
        }
        Ok(Assets(Arc::new(inner)))
    }

    /// `'sha256-…'` of each inline script of the index page, for the CSP.
    pub fn script_hashes(&self) -> Arc<[String]> {
        self.0.script_hashes.clone()
    }

    /// Compresses everything, so that the first visitor does not wait for it. Takes a second or two of one core.
    pub fn warm_up(&self) {
        for asset in self.0.files.values().chain(&self.0.index) {
            asset.brotli();
        }
    }
}

impl Asset {
    fn new(content_type: String, data: Vec<u8>) -> Asset {
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&data)[..12]));
        Asset { content_type, etag, plain: data.into(), brotli: OnceLock::new() }
    }

    /// Compressed, if that is smaller.
    fn brotli(&self) -> Option<&Bytes> {
        self.brotli
            .get_or_init(|| compress(&self.plain).filter(|small| small.len() < self.plain.len()))
            .as_ref()
    }

    fn respond(&self, method: &Method, headers: &HeaderMap, cache: &'static str) -> Response {
        let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let common = [(ETAG, self.etag.as_str()), (CACHE_CONTROL, cache), (VARY, "accept-encoding")];
        if known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.etag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let accepts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let accepts_brotli = accepts.flat_map(|value| value.split(',')).any(takes_brotli);
        let body = |bytes: &Bytes| if method == Method::HEAD { Bytes::new() } else { bytes.clone() };
        let content_type = [(CONTENT_TYPE, self.content_type.as_str())];
        match self.brotli().filter(|_| accepts_brotli) {
            Some(small) => (common, content_type, [(CONTENT_ENCODING, "br")], body(small)).into_response(),
            None => (common, content_type, body(&self.plain)).into_response(),
        }
    }
}

fn takes_brotli(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    let named = parts.next() == Some("br");
    named && !parts.any(|part| matches!(part.trim_start_matches("q="), "0" | "0.0" | "0.00" | "0.000"))
}

fn compress(data: &[u8]) -> Option<Bytes> {
    // Quality 9 of 11: nearly as small, several times as fast. Window 2^22 bytes.
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 9, 22);
    writer.write_all(data).ok()?;
    Some(writer.into_inner().into())
}

/// The page itself.
pub async fn index(State(assets): State<Assets>, method: Method, headers: HeaderMap) -> Response {
    match &assets.0.index {
        Some(page) => page.respond(&method, &headers, "no-cache"),
        None => {
            let detail = "this binary was built without the frontend: run `trunk build`, then build it again";
            Problem::new(StatusCode::NOT_FOUND, detail).into_response()
        }
    }
}

/// Any other file. Their names carry a hash of their content, so they never change.
pub async fn file(State(assets): State<Assets>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let name = uri.path().trim_start_matches('/');
    if name == "index.html" {
        return index(State(assets), method, headers).await;
    }
    match assets.0.files.get(name) {
        Some(_) if method != Method::GET && method != Method::HEAD => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD").into_response()
        }
        Some(asset) => asset.respond(&method, &headers, "public, max-age=31536000, immutable"),
        None => Problem::new(StatusCode::NOT_FOUND, format!("nothing is served at /{name}")).into_response(),
    }
}

/// The text of each `<script>` without `src`.
fn inline_scripts(page: &str) -> Vec<&str> {
    let mut scripts = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find("<script") {
        rest = &rest[start..];
        let (Some(open), Some(end)) = (rest.find('>'), rest.find("</script>")) else { break };
        if !rest[..open].contains(" src=") && open < end {
            scripts.push(&rest[open + 1..end]);
        }
        rest = &rest[end + "</script>".len()..];
    }
    scripts
}

fn csp_hash(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_hashed_and_others_not() {
        let page = r#"<script src="a.js"></script><script type="module">let a = 1;</script><p>x</p><script>b()</script>"#;
        assert_eq!(inline_scripts(page), ["let a = 1;", "b()"]);
        // echo -n 'b()' | openssl dgst -sha256 -binary | base64
        assert_eq!(csp_hash(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }

    #[test]
    fn encodings() {
        let rows = [("br", true), (" br;q=0.5", true), ("br;q=0", false), ("gzip", false), ("brotli", false)];
        for (offer, taken) in rows {
            assert_eq!(takes_brotli(offer.trim()), taken, "{offer}");
        }
    }
}
