//! What the dashboard asks of the sandbox (`api/v1/sandbox/…`). Only the request is made here: what it changes comes back
//! through the stream, like every other change.

use gloo_net::http::{Request, Response};
use serde::{Deserialize, Serialize};
use vipscope_shared::api::Problem;
use vipscope_shared::model::Key;

const BASE: &str = "api/v1/sandbox";

/// A manifest to try.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Example {
    pub name: String,
    pub title: String,
    pub manifest: String,
}

/// What became of one object of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Applied {
    pub kind: String,
    #[serde(default)]
    pub namespace: String,
    pub name: String,
    /// `created`, `configured` or `unchanged`.
    pub outcome: String,
}

/// What is to become of something in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Scale {
        deployment: Key,
        replicas: u16,
    },
    /// `unready`, `crash`, `heal` or `delete`.
    Pod(Key, &'static str),
    /// `fail`, `heal`, `cordon`, `uncordon` or `drain`.
    Node(String, &'static str),
    Reset,
}

pub async fn examples() -> Result<Vec<Example>, String> {
    let response =
        Request::get(&format!("{BASE}/examples")).send().await.map_err(|error| error.to_string())?;
    accepted(response).await?.json().await.map_err(|error| error.to_string())
}

/// Applies a manifest, YAML or JSON; objects without a namespace go to `namespace`.
pub async fn apply(manifest: String, namespace: &str) -> Result<Vec<Applied>, String> {
    let namespace = String::from(js_sys::encode_uri_component(namespace));
    let request = Request::post(&format!("{BASE}/apply?namespace={namespace}"))
        .header("content-type", "application/yaml")
        .body(manifest)
        .map_err(|error| error.to_string())?;
    let response = request.send().await.map_err(|error| error.to_string())?;
    accepted(response).await?.json().await.map_err(|error| error.to_string())
}

pub async fn act(deed: &Deed) -> Result<(), String> {
    #[derive(Serialize)]
    struct Named<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        replicas: Option<u16>,
    }
    let (route, body) = match deed {
        Deed::Reset => ("reset", None),
        Deed::Scale { deployment, replicas } => {
            let namespace = Some(&*deployment.namespace);
            let body = Named { namespace, name: &deployment.name, state: None, replicas: Some(*replicas) };
            ("scale", Some(body))
        }
        Deed::Pod(key, state) => {
            let namespace = Some(&*key.namespace);
            ("pod", Some(Named { namespace, name: &key.name, state: Some(*state), replicas: None }))
        }
        Deed::Node(name, state) => {
            ("node", Some(Named { namespace: None, name, state: Some(*state), replicas: None }))
        }
    };
    let request = Request::post(&format!("{BASE}/{route}"));
    let sent = match body {
        Some(body) => request.json(&body).map_err(|error| error.to_string())?.send().await,
        None => request.send().await,
    };
    accepted(sent.map_err(|error| error.to_string())?).await.map(|_| ())
}

/// The response, or what the backend says is wrong.
pub(super) async fn accepted(response: Response) -> Result<Response, String> {
    if response.ok() {
        return Ok(response);
    }
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let detail = serde_json::from_str::<Problem>(&text).map(|problem| problem.detail.to_string());
    Err(detail.unwrap_or_else(|_| format!("the backend answered {status}")))
}
