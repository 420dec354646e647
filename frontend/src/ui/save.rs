//! Saving text as a file of the reader's.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

/// Hands `text` to the browser as a download called `name`.
pub fn save_text(name: &str, text: &str) {
    let Ok(blob) = web_sys::Blob::new_with_str_sequence(&js_sys::Array::of1(&JsValue::from_str(text))) else {
        return;
    };
    let Ok(url) = web_sys::Url::create_object_url_with_blob(&blob) else { return };
    let link = document()
        .create_element("a")
        .ok()
        .and_then(|link| link.dyn_into::<web_sys::HtmlAnchorElement>().ok());
    if let Some(link) = link {
        link.set_href(&url);
        link.set_download(name);
        link.click();
    }
    let _ = web_sys::Url::revoke_object_url(&url);
}
