//! Everything from a cluster is text. Names, labels, annotations and addresses that try to be markup, scripts or links
//! are shown, and nothing executes, opens or is asked for.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::fs;

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope, http};

const IMAGE: &str = "<img src=x onerror=\"alert('img')\">";
const SCRIPT: &str = "</script><script>alert('script')</script>";
const LINK: &str = "javascript:alert('link')";
const STYLE: &str = "\" style=\"background:url(http://192.0.2.1/leak)\" onmouseover=\"alert(1)";

/// A file is not validated by any API server: every text is hostile.
fn hostile_list() -> Value {
    let mut items = vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": IMAGE } }),
        json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": IMAGE, "labels": { "topology.kubernetes.io/zone": SCRIPT } },
            "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.7" }] } }),
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": SCRIPT, "namespace": IMAGE, "labels": { "app": "x", IMAGE: LINK } },
            "spec": { "nodeName": IMAGE, "containers": [] },
            "status": { "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }],
                "conditions": [{ "type": "Ready", "status": "True" }] } }),
        json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": STYLE, "namespace": IMAGE, "labels": { "kubernetes.io/service-name": SCRIPT } },
            "ports": [{ "name": IMAGE, "port": 8080, "protocol": "TCP" }],
            "endpoints": [{ "addresses": ["10.0.0.1"], "nodeName": IMAGE, "zone": SCRIPT, "hostname": LINK,
                "conditions": { "ready": true },
                "targetRef": { "kind": "Pod", "namespace": IMAGE, "name": SCRIPT } }] }),
    ];
    let spec = json!({ "type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
        "selector": { "app": "x", IMAGE: SCRIPT }, "ports": [{ "name": IMAGE, "port": 80, "targetPort": IMAGE }] });
    let external = json!({ "type": "ExternalName", "externalName": LINK });
    for (name, spec) in [(IMAGE, spec.clone()), (SCRIPT, spec.clone()), (STYLE, spec), (LINK, external)] {
        let metadata = json!({ "name": name, "namespace": IMAGE, "labels": { IMAGE: SCRIPT },
            "annotations": { "vipscope.dev/note": LINK, "service.kubernetes.io/topology-mode": IMAGE } });
        items.push(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }));
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// Elements and links that only markup from the cluster could have made.
const INJECTED: &str = "[...document.querySelectorAll('img, iframe, object, embed, body script, [onerror], [onmouseover], a[href^=\"javascript:\" i]')]
    .map(element => element.outerHTML)";

async fn assert_harmless(page: &Page, origin: &str, at: &str) {
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new(), "{at}");
    assert_eq!(page.eval(INJECTED).await.unwrap(), json!([]), "{at}");
    let foreign: Vec<String> =
        page.requests().await.unwrap().into_iter().filter(|url| !url.contains(origin)).collect();
    assert_eq!(foreign, Vec::<String>::new(), "{at}");
}

async fn visit(page: &Page, url: &str, origin: &str) {
    page.open(url).await.unwrap();
    page.until("live", "document.querySelector('[data-testid=connection][data-state=live]')").await.unwrap();
    page.until("hostile text, shown", "document.body.innerText.includes('onerror')").await.unwrap();
    assert_harmless(page, origin, url).await;
}

#[tokio::test]
async fn texts_of_a_file_are_shown_and_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostile.json");
    fs::write(&file, hostile_list().to_string()).unwrap();
    let server = Vipscope::serve(&["--source", &format!("file:{}", file.display())]).await.unwrap();
    let origin = server.url.trim_start_matches("http://");
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    for view in ["map", "table", "nodes", "findings&severity=info.warn.error"] {
        visit(page, &format!("{}/?view={view}", server.url), origin).await;
    }
    page.open(&server.url).await.unwrap();
    page.until("the map", "document.querySelector('[data-target]')").await.unwrap();
    let targets = page
        .eval("[...new Set([...document.querySelectorAll('[data-target]')].map(e => e.dataset.target))]")
        .await;
    let targets: Vec<String> = serde_json::from_value(targets.unwrap()).unwrap();
    assert!(targets.iter().any(|target| target.contains("onerror")), "{targets:?}");
    for target in targets {
        let encoded = page.eval(&format!("encodeURIComponent({})", json!(target))).await.unwrap();
        for tab in [
            "summary",
            "endpoints",
            "ladder",
            "rules",
            "rules&mode=nftables",
            "dns",
            "findings",
            "details",
            "changes",
        ] {
            visit(page, &format!("{}/?sel={}&tab={tab}", server.url, encoded.as_str().unwrap()), origin)
                .await;
        }
    }
}

#[tokio::test]
async fn what_an_api_server_accepts_and_what_a_link_says_does_nothing_either() {
    let mut server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let api = server.sandbox_url().await.unwrap();
    let annotations = json!({ "vipscope.dev/note": IMAGE, "service.kubernetes.io/topology-mode": SCRIPT });
    let service = json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "hostile", "namespace": "default", "annotations": annotations },
        "spec": { "ports": [{ "name": "http", "port": 80 }] } });
    http::send("POST", &format!("{api}/api/v1/namespaces/default/services"), &service).await.unwrap();
    let origin = server.url.trim_start_matches("http://");
    let browser = Browser::start().await.unwrap();
    visit(&browser.page, &format!("{}/?sel=svc/default/hostile&tab=details", server.url), origin).await;
    let query = "q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&ns=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    let sel = "sel=svc%2Fshop%2F%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    browser.page.open(&format!("{}/?{query}&{sel}", server.url)).await.unwrap();
    let live = "document.querySelector('[data-testid=connection][data-state=live]')";
    browser.page.until("live", live).await.unwrap();
    assert_harmless(&browser.page, origin, "a hostile link").await;
}
