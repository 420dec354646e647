//! LIST: pages at one revision, `continue` tokens, versions that are too old or not there yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::object::{self, Object};
use super::query::Query;
use super::render::{self, Form};
use super::resources::Type;
use super::selectors::Selector;
use super::store::Store;

const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.";

/// One page, in the form that was asked for.
pub fn list(
    store: &Store,
    resource: Type,
    namespace: &str,
    query: &Query,
    form: Form,
) -> Result<Bytes, Refusal> {
    let selector = Selector::parse(resource, query.get("labelSelector"), query.get("fieldSelector"))?;
    let page = Page::parse(query, store.revision())?;
    let start = page.start.as_ref();
    let listed = store.list(resource, namespace, start, page.revision);
    let (objects, revision) = listed.map_err(|_| page.too_old(store.revision()))?;
    let (items, rest) = cut(objects, &selector, page.limit);
    let last = items.last().filter(|_| rest > 0);
    let token = last.map(|object| Token::after(&object::key(object), revision).encode());
    let metadata = ListMeta {
        resource_version: revision.to_string(),
        remaining_item_count: (token.is_some() && selector.is_empty()).then_some(rest),
        token,
    };
    let json = match form {
        Form::Whole => {
            let info = resource.info();
            let items = items.iter().map(Item).collect();
            let kind = format!("{}List", info.kind);
            serde_json::to_vec(&List { kind, api_version: info.api_version(), metadata, items })
        }
        form => serde_json::to_value(&metadata).and_then(|metadata| {
            serde_json::to_vec(&render::list(form, resource, &items, metadata, store.clock.now()))
        }),
    };
    json.map(Bytes::from).map_err(Refusal::internal)
}

/// The first `limit` that match, and how many more do.
fn cut(objects: Vec<Object>, selector: &Selector, limit: usize) -> (Vec<Object>, usize) {
    let mut items: Vec<Object> = objects.into_iter().filter(|object| selector.matches(object)).collect();
    let rest = if limit == 0 { 0 } else { items.len().saturating_sub(limit) };
    items.truncate(items.len() - rest);
    (items, rest)
}

/// What the query says about versions and pages.
struct Page {
    limit: usize,
    start: Option<Key>,
    /// To list as of; `None` is now.
    revision: Option<u64>,
}

impl Page {
    fn parse(query: &Query, current: u64) -> Result<Page, Refusal> {
        let limit = query.get("limit").parse::<i64>().unwrap_or_default().max(0) as usize;
        let version = parse_version(query)?;
        let exact = matching(query, version)?;
        if query.has("sendInitialEvents") {
            let why = "sendInitialEvents is forbidden for list";
            return Err(list_options(FieldError::forbidden("sendInitialEvents", why)));
        }
        let token = query.get("continue");
        if !token.is_empty() {
            if version.is_some() {
                let text = "specifying resource version is not allowed when using continue";
                return Err(Refusal::bad_request(text));
            }
            let token = Token::decode(token)?;
            let (namespace, name) = token.start.trim_end_matches('\0').split_once('/').unwrap_or_default();
            return Ok(Page { limit, start: Some(Key::new(namespace, name)), revision: Some(token.rv) });
        }
        if let Some(version) = version.filter(|version| *version > current) {
            return Err(Refusal::future_version(version, current));
        }
        Ok(Page { limit, start: None, revision: version.filter(|_| exact) })
    }

    /// The refusal of a page whose revision is forgotten.
    fn too_old(&self, current: u64) -> Refusal {
        match &self.start {
            Some(key) => Refusal::expired_list(CONTINUE_TOO_OLD, Some(Token::after(key, current).encode())),
            None => Refusal::expired_list(TOO_OLD, None),
        }
    }
}

/// `resourceVersion`, if one is given.
pub fn parse_version(query: &Query) -> Result<Option<u64>, Refusal> {
    let text = query.get("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Refusal::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
        ))
    })
}

/// Whether the list has to be exactly of `version`.
fn matching(query: &Query, version: Option<u64>) -> Result<bool, Refusal> {
    let field = "resourceVersionMatch";
    match (query.get(field), version) {
        ("", _) => Ok(false),
        (_, None) => {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            Err(list_options(FieldError::forbidden(field, why)))
        }
        ("NotOlderThan", _) => Ok(false),
        ("Exact", Some(0)) => {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            Err(list_options(FieldError::forbidden(field, why)))
        }
        ("Exact", _) => Ok(true),
        (other, _) => {
            Err(list_options(FieldError::unsupported(field, other, &["Exact", "NotOlderThan", ""])))
        }
    }
}

/// 422 about the query.
pub fn list_options(error: FieldError) -> Refusal {
    Refusal::invalid_kind("meta.k8s.io", "ListOptions", "", &[error])
}

/// Where the next page starts.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    /// `NAMESPACE/NAME\0` of the last object sent.
    start: String,
}

impl Token {
    fn after(key: &Key, revision: u64) -> Token {
        Token { v: "meta.k8s.io/v1".into(), rv: revision, start: format!("{}/{}\0", key.namespace, key.name) }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Token, Refusal> {
        let invalid = |why: String| {
            Refusal::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| invalid(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: ListMeta,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_item_count: Option<usize>,
}

/// An object of a typed list: without kind and apiVersion.
struct Item<'a>(&'a Object);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields = self.0.as_object().into_iter().flatten();
        for (field, value) in fields.filter(|(field, _)| *field != "kind" && *field != "apiVersion") {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

/// The list that a collection's DELETE answers.
pub fn list_of(resource: Type, objects: &[Object], revision: u64) -> Value {
    let info = resource.info();
    let items: Vec<&Value> = objects.iter().map(|object| &**object).collect();
    serde_json::json!({
        "kind": format!("{}List", info.kind), "apiVersion": info.api_version(),
        "metadata": { "resourceVersion": revision.to_string() }, "items": items,
    })
}
