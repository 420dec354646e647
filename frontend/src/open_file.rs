//! Files of objects, opened in the browser: bytes to what the store takes instead of the backend's snapshot. Pure; nothing
//! is sent anywhere.
//!
//! Any mix of kinds, as JSON or YAML, as `kubectl get … -o json` or `-o yaml` prints it. Objects that can't be read are
//! faults of the state, as they are with a live cluster; only a file that shows nothing at all is an error.

use std::collections::BTreeMap;

use jiff::Timestamp;
use vipscope_shared::api::{ClusterInfo, SnapshotResponse, SourceKind};
use vipscope_shared::delta::{Revision, Snapshot};
use vipscope_shared::manifest::{FileError, Loaded, load_into};
use vipscope_shared::model::{ClusterState, Text};

use crate::words;

/// Largest file that is taken, in bytes: what a browser's WebAssembly can hold of it, parsed.
pub const LARGEST: u64 = 256 * 1024 * 1024;

/// The file that is shown instead of the live cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub name: Text,
    /// Objects of kinds that vipscope does not keep, counted by `kind.apiVersion`.
    pub ignored: BTreeMap<String, usize>,
}

impl Opened {
    /// `3 Deployment.apps/v1, 1 Secret.v1`.
    pub fn left_out(&self) -> Option<String> {
        (!self.ignored.is_empty()).then(|| counted(&self.ignored))
    }
}

/// Why a file can't be shown. Says what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("it has {size} MB; at most {} MB can be opened in a browser: start vipscope with --source file:PATH instead", LARGEST >> 20)]
    TooLarge { size: u64 },
    #[error("the browser can't read it: {0}")]
    Unreadable(String),
    #[error(
        "it is not text: expected Kubernetes objects as JSON or YAML, as `kubectl get -o json` prints them"
    )]
    Binary,
    #[error("{0}")]
    Format(FileError),
    #[error(
        "it holds nothing that vipscope shows, only {0}: it needs Services, EndpointSlices, Pods or Nodes"
    )]
    Irrelevant(String),
    #[error("it holds no objects: the list is empty")]
    Nothing,
    #[error("none of its objects can be used: {0}")]
    Faulty(String),
}

/// Whether so many bytes are taken at all, in one file or several.
pub fn check_size(bytes: f64) -> Result<(), OpenError> {
    let size = bytes.max(0.0) as u64;
    if size > LARGEST { Err(OpenError::TooLarge { size: size.div_ceil(1024 * 1024) }) } else { Ok(()) }
}

/// A file as the browser gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A file that can't be shown, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub name: String,
    pub why: OpenError,
}

/// Reads files into one cluster; objects of later ones replace those of the same name. `now` stands for the time of the
/// snapshot. The first file that can't be read is the error.
pub fn read(files: &[Chosen], now: Timestamp) -> Result<(Opened, SnapshotResponse), Refused> {
    let mut loaded = Loaded::default();
    for file in files {
        add(&mut loaded, &file.bytes).map_err(|why| Refused { name: file.name.clone(), why })?;
    }
    let name: Text = name_of(files).into();
    let Loaded { state, faults, ignored } = loaded;
    if is_empty(&state) {
        let why = match (faults.first(), ignored.is_empty()) {
            (Some(fault), _) => OpenError::Faulty(fault.to_string()),
            (None, false) => OpenError::Irrelevant(counted(&ignored)),
            (None, true) => OpenError::Nothing,
        };
        return Err(Refused { name: name.to_string(), why });
    }
    let cluster = ClusterInfo { source: SourceKind::File, name: name.clone(), context: None, server: None };
    // Another file is another epoch: nothing that was worked out of one holds for the next.
    let revision = Revision { epoch: format!("file{}", now.as_millisecond().max(0)).into(), number: 1 };
    let snapshot = Snapshot { revision, time: now, state };
    Ok((Opened { name, ignored }, SnapshotResponse { cluster, snapshot }))
}

fn add(loaded: &mut Loaded, bytes: &[u8]) -> Result<(), OpenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| OpenError::Binary)?;
    if text.contains('\0') {
        return Err(OpenError::Binary);
    }
    load_into(loaded, text).map_err(OpenError::Format)
}

/// `svc.json`, or `svc.json and 2 more`.
pub fn name_of(files: &[Chosen]) -> String {
    match files {
        [] => String::new(),
        [one] => one.name.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.name, rest.len()),
    }
}

/// Nothing that a map could be made of.
fn is_empty(state: &ClusterState) -> bool {
    state.services().is_empty()
        && state.slices().is_empty()
        && state.endpoints().is_empty()
        && state.pods().is_empty()
        && state.nodes().is_empty()
}

fn counted(kinds: &BTreeMap<String, usize>) -> String {
    const MOST: usize = 4;
    let mut parts: Vec<String> = kinds
        .iter()
        .take(MOST)
        .map(|(kind, count)| format!("{} {kind}", words::thousands(*count as u64)))
        .collect();
    if kinds.len() > MOST {
        parts.push(words::count(kinds.len() - MOST, "other kind", "other kinds"));
    }
    parts.join(", ")
}
