//! Files opened in the browser: what is shown of them, and the one sentence that says why nothing is.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use jiff::Timestamp;
use vipscope_frontend::open_file::{Chosen, LARGEST, OpenError, Opened, check_size};
use vipscope_frontend::open_file::{Refused, read as read_all};
use vipscope_frontend::store::StoreState;
use vipscope_shared::api::{SnapshotResponse, SourceKind};
use vipscope_shared::model::Key;
use wasm_bindgen_test::wasm_bindgen_test;

const SERVICE: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}"#;
const SECRET: &str =
    r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": "key"}}"#;
const BAD: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "bad"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 99999}]}}"#;

fn chosen(name: &str, bytes: &[u8]) -> Chosen {
    Chosen { name: name.to_owned(), bytes: bytes.to_vec() }
}

fn read(name: &str, bytes: &[u8], now: Timestamp) -> Result<(Opened, SnapshotResponse), Refused> {
    read_all(&[chosen(name, bytes)], now)
}

fn refusal(bytes: &[u8]) -> String {
    let refused = read("x.json", bytes, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(refused.name, "x.json");
    refused.why.to_string()
}

#[wasm_bindgen_test]
fn several_files_are_one_cluster_and_the_bad_one_is_named() {
    let (first, second) = (chosen("svc.json", SERVICE.as_bytes()), chosen("more.json", SECRET.as_bytes()));
    let (opened, response) = read_all(&[first.clone(), second], Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((&*opened.name, opened.left_out().as_deref()), ("svc.json and 1 more", Some("1 Secret.v1")));
    assert_eq!(response.snapshot.state.services().len(), 1);
    let refused = read_all(&[first, chosen("cut.json", b"{")], Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(refused.name, "cut.json");
}

#[wasm_bindgen_test]
fn a_mixed_file_is_shown_and_says_what_it_leaves_out() {
    let text = format!("[{SERVICE}, {SECRET}, {SECRET}, {BAD}]");
    let (opened, response) = read("prod.json", text.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((&*opened.name, opened.left_out().as_deref()), ("prod.json", Some("2 Secret.v1")));
    assert_eq!((response.cluster.source, &*response.cluster.name), (SourceKind::File, "prod.json"));
    let mut store = StoreState::default();
    store.open(opened, response);
    assert!(store.opened.is_some() && store.revision.is_some());
    let later = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1);
    let (_, again) = read("prod.json", text.as_bytes(), later).unwrap();
    assert_ne!(Some(again.snapshot.revision.epoch), store.revision.clone().map(|revision| revision.epoch));
    assert!(store.state.services().contains(&Key::new("shop", "web")));
    assert_eq!(store.state.faults().len(), 1, "what can't be read is said");
}

#[wasm_bindgen_test]
fn yaml_is_as_good_as_json() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: web}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    let (opened, response) = read("all.yaml", yaml.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(opened.left_out().as_deref(), Some("1 Secret.v1"));
    assert_eq!(response.snapshot.state.services().len(), 1);
}

#[wasm_bindgen_test]
fn what_can_not_be_shown_has_one_reason() {
    let rows: [(&[u8], &[&str]); 9] = [
        (b"", &["empty"]),
        (b"  \n", &["empty"]),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", &["not text"]),
        (b"{\"kind\": \"Service\"\0}", &["not text"]),
        (b"{\"kind\": ", &["is not JSON", "line 1"]),
        (b"hello: [", &["is not YAML", "line 1"]),
        (b"hello: world", &["document 1", "`kind`"]),
        (SECRET.as_bytes(), &["nothing that vipscope shows", "1 Secret.v1"]),
        (br#"{"apiVersion": "v1", "kind": "List", "items": []}"#, &["holds no objects"]),
    ];
    for (bytes, parts) in rows {
        let why = refusal(bytes);
        assert!(parts.iter().all(|part| why.contains(part)), "{parts:?}: {why}");
    }
    let why = refusal(BAD.as_bytes());
    assert!(
        ["shop/bad", "port", "99999"].iter().all(|part| why.contains(part)),
        "object, field and value: {why}"
    );
}

#[wasm_bindgen_test]
fn sizes_have_a_limit_that_is_said() {
    assert_eq!(check_size(LARGEST as f64), Ok(()));
    let why = check_size(LARGEST as f64 + 1.0).unwrap_err();
    assert_eq!(why, OpenError::TooLarge { size: 257 });
    assert!(why.to_string().contains("at most 256 MB"), "{why}");
}
