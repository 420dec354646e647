//! What is wrong, as a user finds out: the badge, the list and its filters, the way to the map and back, the ladder to one
//! pod, and how a Service is found.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope, http};

async fn create(api: &str, path: &str, object: Value) {
    http::send("POST", &format!("{api}/{path}"), &object).await.unwrap();
}

/// A namespace that the demo's churn does not touch: `lost` selects nothing, `quiet` neither but says that this is meant,
/// and `web` has one pod that is ready and one that is not.
async fn create_broken(api: &str) {
    create(
        api,
        "api/v1/namespaces",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "test" } }),
    )
    .await;
    let annotations = json!({ "vipscope.dev/ignore": "SVC001" });
    for (name, annotations, app) in
        [("lost", json!({}), "lsot"), ("quiet", annotations, "nobody"), ("web", json!({}), "web")]
    {
        let metadata = json!({ "name": name, "namespace": "test", "annotations": annotations });
        let spec = json!({ "selector": { "app": app }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] });
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec });
        create(api, "api/v1/namespaces/test/services", service).await;
    }
    let container = json!({ "name": "web", "image": "web", "ports": [{ "containerPort": 8080 }] });
    let labels = json!({ "app": "web" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "test" },
        "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": template } });
    create(api, "apis/apps/v1/namespaces/test/deployments", deployment).await;
}

async fn sandbox() -> (Vipscope, Browser) {
    let mut server = Vipscope::serve_sandbox(&[]).await.unwrap();
    create_broken(&server.sandbox_url().await.unwrap()).await;
    (server, Browser::start().await.unwrap())
}

fn card(code: &str, subject: &str) -> String {
    format!(
        "document.querySelector('[data-testid=finding][data-code={code}][data-subject=\"Service {subject}\"]')"
    )
}

/// Sets a field as typing or choosing would.
async fn set(page: &Page, testid: &str, value: &str) {
    let set = format!(
        "(() => {{ const field = document.querySelector('[data-testid={testid}]'); field.value = {};
          for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, {{ bubbles: true }})); return true; }})()",
        json!(value)
    );
    page.eval(&set).await.unwrap();
}

async fn parameter(page: &Page, name: &str, value: &str) {
    let is = format!("new URLSearchParams(location.search).get('{name}') === {}", json!(value));
    page.until(&format!("{name} in the URL"), &is).await.unwrap();
}

async fn tab_is(page: &Page, name: &str) {
    let is = format!(
        "document.querySelector('.insp [role=tab][aria-selected=true]')?.innerText.startsWith('{name}')"
    );
    page.until(name, &is).await.unwrap();
}

#[tokio::test]
async fn broken_services_are_listed_and_lead_to_the_map_and_back() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    page.open(&format!("{}/?ns=test", server.url)).await.unwrap();
    page.until("the count", "+document.querySelector('[data-testid=findings-open] b')?.innerText > 0")
        .await
        .unwrap();
    page.until("the badge", "+document.querySelector('.rail-badge')?.innerText > 0").await.unwrap();
    page.click("[data-testid=findings-open]").await.unwrap();
    page.until("the broken Service", &card("SVC001", "test/lost")).await.unwrap();
    parameter(page, "view", "findings").await;
    let shown = "document.querySelectorAll('[data-testid=finding]').length";
    let badge =
        page.eval("+document.querySelector('[data-testid=findings-open] b').innerText").await.unwrap();
    assert_eq!(page.eval(shown).await.unwrap(), badge, "the badge counts what the list shows");
    let details = format!("{}.querySelector('summary').click()", card("SVC001", "test/lost"));
    page.eval(&format!("({details}, 1)")).await.unwrap();
    page.until("the evidence", &format!("{}.querySelector('table.evidence')", card("SVC001", "test/lost")))
        .await
        .unwrap();
    let text = page.eval(&format!("{}.textContent", card("SVC001", "test/lost"))).await.unwrap();
    for part in ["app=lsot", "spec.selector", "kubectl"] {
        assert!(text.as_str().unwrap().contains(part), "{part}: {text}");
    }
    let order = page
        .eval("[...document.querySelectorAll('[data-testid=finding-group] .mark')].map(m => m.ariaLabel)")
        .await
        .unwrap();
    let ranks: Vec<usize> = order
        .as_array()
        .unwrap()
        .iter()
        .map(|word| ["error", "warning", "note"].iter().position(|w| word == w).unwrap())
        .collect();
    assert!(ranks.is_sorted(), "worst first: {order}");

    assert_eq!(page.eval(&card("SVC001", "test/quiet")).await.unwrap(), Value::Null, "suppressed");
    page.click("[data-testid=findings-suppressed]").await.unwrap();
    page.until(
        "the suppressed one, marked",
        &format!("{}?.innerText.includes('suppressed by annotation')", card("SVC001", "test/quiet")),
    )
    .await
    .unwrap();
    parameter(page, "suppressed", "1").await;

    page.eval(&format!("{}.querySelector('[data-testid=show-on-map]').click()", card("SVC001", "test/lost")))
        .await
        .unwrap();
    page.until("the map", "document.querySelector('[data-target=\"svc/test/lost\"]')").await.unwrap();
    parameter(page, "sel", "svc/test/lost").await;
    tab_is(page, "Findings").await;
    page.until(
        "its finding in the inspector",
        "document.querySelector('.insp [data-testid=finding][data-code=SVC001]')",
    )
    .await
    .unwrap();
    page.click("[data-testid=all-findings]").await.unwrap();
    parameter(page, "about", "svc/test/lost").await;
    let subjects = "[...new Set([...document.querySelectorAll('.findings [data-testid=finding]')].map(card => card.dataset.subject))]";
    page.until(
        "only its own",
        &format!("JSON.stringify({subjects}) === JSON.stringify(['Service test/lost'])"),
    )
    .await
    .unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn filters_are_part_of_the_link_and_a_mended_service_leaves_the_list() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    page.open(&format!("{}/?view=findings&ns=test&check=SVC001&find=lost", server.url)).await.unwrap();
    page.until(
        "one finding",
        &format!(
            "document.querySelectorAll('[data-testid=finding]').length === 1 && {}",
            card("SVC001", "test/lost")
        ),
    )
    .await
    .unwrap();
    set(page, "findings-text", "no such text").await;
    page.until(
        "nothing",
        "document.querySelector('.finding-none')?.innerText.includes('Nothing fits the filters')",
    )
    .await
    .unwrap();
    parameter(page, "find", "no such text").await;
    set(page, "findings-text", "").await;
    set(page, "findings-check", "").await;
    page.until("more", "!location.search.includes('check=') && document.querySelectorAll('[data-testid=finding]').length > 0").await.unwrap();
    page.click("[data-severity=error]").await.unwrap();
    parameter(page, "severity", "warn").await;
    page.until("no errors", "![...document.querySelectorAll('[data-testid=finding-group] .mark')].some(m => m.ariaLabel === 'error')").await.unwrap();
    page.click("[data-severity=error]").await.unwrap();
    page.until("the errors again", &card("SVC001", "test/lost")).await.unwrap();
    let ran = "document.querySelector('[data-testid=checks-ran]').innerText";
    assert!(page.eval(ran).await.unwrap().as_str().unwrap().contains("checks ran"));

    let mut server = server;
    let api = server.sandbox_url().await.unwrap();
    let url = format!("{api}/api/v1/namespaces/test/services/lost");
    http::send("PATCH", &url, &json!({ "spec": { "selector": { "app": "web" } } })).await.unwrap();
    page.until("mended", &format!("!{}", card("SVC001", "test/lost"))).await.unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_ladder_names_the_rung_that_fails_and_lookups_show_every_step() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    page.open(&format!("{}/?sel=svc/test/web", server.url)).await.unwrap();
    page.until(
        "an endpoint that gets traffic",
        "document.querySelector('[data-testid=endpoint][data-receives=true] [data-testid=climb]')",
    )
    .await
    .unwrap();
    page.eval(
        "document.querySelector('[data-testid=endpoint][data-receives=true] [data-testid=climb]').click()",
    )
    .await
    .unwrap();
    tab_is(page, "Ladder").await;
    let verdicts =
        "[...document.querySelectorAll('[data-testid=rung]')].map(rung => rung.dataset.verdict).join()";
    page.until("nine rungs that hold", &format!("{verdicts} === Array(9).fill('pass').join()"))
        .await
        .unwrap();
    // Its own pods, and those of the namespace: the broken Service's ladder stops at its selector.
    page.open(&format!("{}/?sel=svc/test/lost&tab=ladder", server.url)).await.unwrap();
    page.until("the failure", "document.querySelector('[data-testid=ladder-summary]')?.innerText.includes('“Selector matches the pod”')").await.unwrap();
    let opened = page.eval("document.querySelector('.rung.fail details[open]').innerText").await.unwrap();
    assert!(
        opened.as_str().unwrap().contains("app=lsot") && opened.as_str().unwrap().contains("kubectl"),
        "{opened}"
    );
    set(page, "ladder-node", "node-b").await;
    parameter(page, "why-node", "node-b").await;

    page.open(&format!("{}/?sel=svc/test/web&tab=dns", server.url)).await.unwrap();
    page.until("an A record", "[...document.querySelectorAll('[data-testid=record]')].some(row => row.textContent.startsWith('web.test.svc.cluster.localA'))").await.unwrap();
    let result = "document.querySelector('[data-testid=lookup-result]')?.innerText ?? ''";
    page.until(
        "the first name answers",
        &format!("({result}).startsWith('web.test.svc.cluster.local → A ')"),
    )
    .await
    .unwrap();
    set(page, "lookup-name", "web.elsewhere").await;
    page.until("the search path", "document.querySelectorAll('[data-testid=lookup-step]').length === 4")
        .await
        .unwrap();
    parameter(page, "lookup", "web.elsewhere").await;
    let steps = page.eval("[...document.querySelectorAll('[data-testid=lookup-step] .mono:first-child')].map(step => step.innerText)").await.unwrap();
    assert_eq!(steps[0], "web.elsewhere.test.svc.cluster.local.");

    let pod = page.eval("document.querySelector('[data-testid=lookup-asker]').value").await.unwrap();
    page.open(&format!("{}/?sel=pod/{}&tab=dns", server.url, pod.as_str().unwrap())).await.unwrap();
    let file = "document.querySelector('[data-testid=resolv-conf]')?.innerText ?? ''";
    page.until(
        "resolv.conf",
        &format!("({file}).includes('search test.svc.cluster.local svc.cluster.local cluster.local')"),
    )
    .await
    .unwrap();
    // Pods and Services of the test are about of the same second: the kubelet may or may not have known.
    let told = "['web', 'lost'].every(name => document.querySelector('[data-testid=variables]')?.textContent.includes(name.toUpperCase() + '_SERVICE_HOST')
        || document.querySelector('[data-testid=missing-variables]')?.textContent.includes(name + ' created about when'))";
    page.until("each Service is told, or it is said why not", told).await.unwrap();
    let elsewhere = "document.querySelector('[data-testid=missing-variables]').textContent.includes('of other namespaces')";
    assert_eq!(page.eval(elsewhere).await.unwrap(), true);
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}
