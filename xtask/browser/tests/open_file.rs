//! A file opened in the browser: it replaces the cluster, everything works without a backend, bad ones say why, and the live
//! cluster comes back.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::time::Duration;

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope};

/// One node, a Service with one ready pod, one whose selector matches nothing, and a Secret that nobody wants to see.
fn cluster() -> Value {
    let service = |name: &str, ip: &str| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "filed" },
            "spec": { "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": { "app": name },
                "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" }] } })
    };
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-0", "namespace": "filed", "labels": { "app": "web" } },
        "spec": { "nodeName": "filed-node", "containers": [{ "name": "web", "ports": [{ "containerPort": 8080 }] }] },
        "status": { "phase": "Running", "podIP": "10.9.0.7", "podIPs": [{ "ip": "10.9.0.7" }],
            "conditions": [{ "type": "Ready", "status": "True" }] } });
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "filed-node" },
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.7" }], "conditions": [{ "type": "Ready", "status": "True" }] } });
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "web-1", "namespace": "filed", "labels": { "kubernetes.io/service-name": "web" } },
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": ["10.9.0.7"], "nodeName": "filed-node", "conditions": { "ready": true },
            "targetRef": { "kind": "Pod", "namespace": "filed", "name": "web-0" } }] });
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key", "namespace": "filed" } });
    let items = [service("web", "10.96.9.1"), service("lost", "10.96.9.2"), pod, node, slice, secret];
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// Drops a file on the page, as a hand would.
async fn drop_file(page: &Page, name: &str, content: &str) {
    let drop = format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([{}], {}));
          for (const type of ['dragover', 'drop'])
            document.querySelector('.stage').dispatchEvent(new DragEvent(type, {{ dataTransfer: data, bubbles: true, cancelable: true }}));
          return true; }})()",
        json!(content),
        json!(name)
    );
    page.eval(&drop).await.unwrap();
}

async fn state_is(page: &Page, state: &str) {
    page.until(state, &format!("document.querySelector('[data-testid=connection][data-state={state}]')"))
        .await
        .unwrap();
}

/// Types into whatever has the focus.
async fn type_text(page: &Page, text: &str) {
    for key in text.chars() {
        page.press(&key.to_string()).await.unwrap();
    }
}

async fn trace(page: &Page, from: &str, to: &str) {
    page.press("t").await.unwrap();
    page.until("the focus", "document.activeElement?.dataset.testid === 'trace-from'").await.unwrap();
    type_text(page, from).await;
    page.eval("document.querySelector('[data-testid=trace-to]').focus()").await.unwrap();
    type_text(page, to).await;
    page.press("Enter").await.unwrap();
    page.until(
        "the verdict",
        "document.querySelector('[data-testid=verdict]')?.dataset.verdict === 'deliver'",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dropped_file_replaces_the_cluster_and_works_without_a_backend() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let origin = server.url.clone();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{origin}/?ns=shop&sel=svc/shop/cart")).await.unwrap();
    state_is(page, "live").await;
    // The live cluster's last request is the socket of the traffic.
    let is_last = |asked: &[String]| asked.iter().any(|url| url.ends_with("/traffic"));
    for _ in 0..200 {
        if is_last(&page.requests().await.unwrap()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop_file(page, "prod.json", &cluster().to_string()).await;
    page.until("the file's Service", "document.querySelector('[data-target=\"svc/filed/web\"]')")
        .await
        .unwrap();
    state_is(page, "file").await;
    assert_eq!(page.eval("!!document.querySelector('[data-target^=\"svc/shop/\"]')").await.unwrap(), false);
    let notice = page.eval("document.querySelector('[data-testid=file-notice]').innerText").await.unwrap();
    for part in ["file: prod.json", "opened in this browser only; not sent anywhere", "1 Secret.v1"] {
        assert!(notice.as_str().unwrap().contains(part), "{part}: {notice}");
    }
    drop(server);
    page.until("the finding", "+document.querySelector('[data-testid=findings-open] b')?.innerText > 0")
        .await
        .unwrap();
    trace(page, "external", "svc/filed/web:http").await;
    page.until(
        "the way",
        "document.querySelector('[data-target=\"pod/filed/web-0\"]')?.dataset.path === 'on'",
    )
    .await
    .unwrap();
    page.click("[data-testid=findings-open]").await.unwrap();
    page.until(
        "the list",
        "document.querySelector('[data-code=SVC001][data-subject=\"Service filed/lost\"]')",
    )
    .await
    .unwrap();
    page.eval(
        "document.querySelector('[data-subject=\"Service filed/lost\"] [data-testid=show-on-map]').click()",
    )
    .await
    .unwrap();
    page.until("the inspector", "document.querySelector('.insp [data-testid=finding][data-code=SVC001]')")
        .await
        .unwrap();
    state_is(page, "file").await;
    assert_eq!(page.requests().await.unwrap(), Vec::<String>::new(), "nothing was asked or sent");
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_can_be_chosen_after_the_backend_has_gone_and_another_may_follow() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&server.url).await.unwrap();
    state_is(page, "live").await;
    drop(server);
    let lost = "document.querySelector('[data-testid=connection]:is([data-state=reconnecting], [data-state=disconnected])')";
    page.until("a lost connection", lost).await.unwrap();
    let choose = format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([{}], 'yaml.yaml'));
          const input = document.querySelector('[data-testid=file-input]'); input.files = data.files;
          input.dispatchEvent(new Event('change', {{ bubbles: true }})); return true; }})()",
        json!(cluster().to_string())
    );
    page.eval(&choose).await.unwrap();
    page.until("the file's Service", "document.querySelector('[data-target=\"svc/filed/web\"]')")
        .await
        .unwrap();
    state_is(page, "file").await;
    trace(page, "pod/filed/web-0", "svc/filed/web:http").await;
}

#[tokio::test]
async fn bad_files_say_why_leave_the_cluster_alone_and_it_comes_back() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&server.url).await.unwrap();
    state_is(page, "live").await;
    let bad = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "b"}, "spec": {"ports": [{"port": 99999}]}}"#;
    for (name, content, parts) in [
        ("empty.json", "", vec!["The file is empty"]),
        ("cut.json", "{\"kind\": ", vec!["not JSON", "line 1"]),
        ("binary.bin", "\0\0", vec!["not text"]),
        ("field.json", bad, vec!["Service a/b", "port", "99999"]),
        (
            "secret.json",
            r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}"#,
            vec!["1 Secret.v1"],
        ),
    ] {
        drop_file(page, name, content).await;
        let text = "document.querySelector('[data-testid=open-refused]')?.innerText ?? ''";
        page.until(name, &format!("({text}).includes('{name} can')")).await.unwrap();
        let why = page.eval(text).await.unwrap();
        assert!(parts.iter().all(|part| why.as_str().unwrap().contains(part)), "{parts:?}: {why}");
        state_is(page, "live").await;
    }
    drop_file(page, "<img src=x onerror=alert(1)>.json", &cluster().to_string()).await;
    state_is(page, "file").await;
    page.until(
        "its name, as text",
        "document.querySelector('[data-testid=file-notice]').innerText.includes('<img src=x')",
    )
    .await
    .unwrap();
    assert_eq!(page.eval("!!document.querySelector('[data-testid=open-refused]')").await.unwrap(), false);
    page.click("[data-testid=back-to-live]").await.unwrap();
    state_is(page, "live").await;
    page.until("the live cluster", "document.querySelector('[data-target^=\"svc/shop/\"]') && !document.querySelector('[data-target^=\"svc/filed/\"]')").await.unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}
