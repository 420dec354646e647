//! Live traffic in a real browser: it appears, says what it rests on, moves, stands still when asked to, follows the cluster,
//! and shows what a fault does.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::time::Duration;

use serde_json::json;
use vipscope_browser::{Browser, Page, Vipscope, http};

/// Rows of the list that says what the map shows.
const ROWS: &str = "[...document.querySelectorAll('[data-testid=traffic-list] li')]";
const MOTION: &str = "document.querySelector('[data-testid=traffic-list]')?.dataset.motion";

/// Counts the frames that anything on the page asks for.
const COUNT_FRAMES: &str = "(() => { const real = window.requestAnimationFrame; window.__frames = 0;
    window.requestAnimationFrame = call => { window.__frames += 1; return real.call(window, call); }; return true; })()";

/// Frames asked for within 1.5 seconds from now.
async fn frames(page: &Page) -> u64 {
    page.eval("(window.__frames = 0, window.__from = performance.now(), true)").await.unwrap();
    let over = "performance.now() - window.__from > 1500 ? [window.__frames] : null";
    let counted = page.until_within("a while", Duration::from_secs(10), over).await.unwrap();
    counted[0].as_u64().unwrap()
}

/// Waits for traffic over the whole way: into a Service and out of it to a pod.
async fn until_it_flows(page: &Page) {
    let flows = format!(
        "{ROWS}.some(row => row.dataset.from.startsWith('from/') && row.dataset.rate > 0)
         && {ROWS}.some(row => row.dataset.from.startsWith('svc/') && row.dataset.to.startsWith('pod/') && row.dataset.rate > 0)"
    );
    page.until_within("traffic", Duration::from_secs(20), &flows).await.unwrap();
}

#[tokio::test]
async fn traffic_appears_moves_and_stands_still_when_it_is_stopped() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&server.url).await.unwrap();
    until_it_flows(page).await;
    let basis = "document.querySelector('[data-testid=traffic] .traffic-basis')?.innerText";
    assert_eq!(page.eval(basis).await.unwrap(), "simulated");
    assert_eq!(page.eval(MOTION).await.unwrap(), "moving");

    page.eval(COUNT_FRAMES).await.unwrap();
    // The first counted frame is the one that the next message or mark asks for.
    let moving = frames(page).await;
    assert!(moving > 15, "{moving} frames");
    page.click("[data-testid=traffic-pause]").await.unwrap();
    page.until("the pause", &format!("{MOTION} === 'paused'")).await.unwrap();
    let paused = frames(page).await;
    assert!(paused * 3 < moving, "{paused} frames when stopped, {moving} before");
    // Numbers go on, and what it rests on is still said.
    assert_eq!(page.eval(basis).await.unwrap(), "simulated");
    page.eval(&format!("(window.__before = {ROWS}.map(row => row.innerText).join())")).await.unwrap();
    page.until("other rates", &format!("window.__before !== {ROWS}.map(row => row.innerText).join()"))
        .await
        .unwrap();
    page.press("p").await.unwrap();
    page.until("motion again", &format!("{MOTION} === 'moving'")).await.unwrap();

    // Nothing on another screen shows it: the socket is closed, and opened again.
    page.open(&format!("{}/?view=table", server.url)).await.unwrap();
    page.until("the table", "document.querySelector('table')").await.unwrap();
    page.press("m").await.unwrap();
    until_it_flows(page).await;
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn who_wants_no_motion_sees_numbers() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    let features = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
    page.cdp("Emulation.setEmulatedMedia", features).await.unwrap();
    page.open(&server.url).await.unwrap();
    until_it_flows(page).await;
    assert_eq!(page.eval(MOTION).await.unwrap(), "none");
    assert_eq!(
        page.eval("document.querySelector('[data-testid=traffic-pause]')").await.unwrap(),
        json!(null)
    );
    let chip = page.eval("document.querySelector('[data-testid=traffic]').innerText").await.unwrap();
    assert!(chip.as_str().unwrap().contains("simulated"), "{chip}");
    page.eval(COUNT_FRAMES).await.unwrap();
    let still = frames(page).await;
    assert!(still < 25, "{still} frames");
}

#[tokio::test]
async fn traffic_moves_away_from_a_pod_that_is_made_unready() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?sel=svc/shop/cart", server.url)).await.unwrap();
    let of_cart = format!(
        "{ROWS}.filter(row => row.dataset.from === 'svc/shop/cart' && row.dataset.to.startsWith('pod/'))"
    );
    // The busiest, once it is clear how busy it is.
    let busiest = format!("{of_cart}.sort((a, b) => b.dataset.rate - a.dataset.rate)[0]");
    let all_get = format!("{of_cart}.length > 1 && {busiest}.dataset.rate > 2 && {busiest}.dataset.to");
    let pod = page.until_within("traffic to cart", Duration::from_secs(20), &all_get).await.unwrap();
    let pod = pod.as_str().unwrap().to_owned();
    let name = pod.rsplit('/').next().unwrap().to_owned();
    // The page measures: from the request on, until most of the pod's traffic has gone elsewhere, and until all has.
    let rate = format!("({ROWS}.find(row => row.dataset.to === {pod:?})?.dataset.rate ?? 0)");
    let make_unready = format!(
        "(window.__before = +{rate}, window.__most = null, window.__all = null, window.__asked = performance.now(),
          new MutationObserver(() => {{
            const [now, left] = [performance.now() - window.__asked, +{rate}];
            window.__most = left <= window.__before / 2 ? window.__most ?? now : null;
            window.__all = left === 0 ? window.__all ?? now : null;
          }}).observe(document.querySelector('[data-testid=traffic-list]'), {{ childList: true, subtree: true }}),
          fetch('api/v1/sandbox/pod', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }},
            body: JSON.stringify({{ namespace: 'shop', name: {name:?}, state: 'unready' }}) }}), true)"
    );
    page.eval(&make_unready).await.unwrap();
    let times = "window.__all !== null && [window.__most, window.__all]";
    let times = page.until_within("no traffic to it", Duration::from_secs(10), times).await.unwrap();
    let (most, all) = (times[0].as_f64().unwrap(), times[1].as_f64().unwrap());
    println!("most of its traffic was elsewhere after {most:.0} ms, all after {all:.0} ms");
    assert!(most < 2_000.0, "{most} ms");
    // The others take it, and the inspector agrees.
    let others = format!(
        "{of_cart}.length > 0 && {of_cart}.every(row => row.dataset.to !== {pod:?} && row.dataset.rate > 0)"
    );
    page.until("traffic to the others", &others).await.unwrap();
    let row = format!(
        "[...document.querySelectorAll('[data-testid=endpoint]')].find(row => row.innerText.includes({name:?}))"
    );
    let at_rest = format!("{row}?.querySelector('[data-testid=endpoint-rate]')?.innerText === '0/s'");
    page.until("the endpoint's rate", &at_rest).await.unwrap();
    let mismatches = page.eval("document.querySelectorAll('[data-testid=mismatch]').length").await.unwrap();
    assert_eq!(mismatches, 0, "a healthy cluster has none");
}

#[tokio::test]
async fn a_fault_shows_as_drift_and_is_named() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?view=nodes", server.url)).await.unwrap();
    let standing =
        "[...document.querySelectorAll('[data-testid=node-standing]')].map(one => one.innerText.trim())";
    let healthy = format!("{standing}.length === 4 && {standing}.every(words => words === 'up to date')");
    page.until_within("nodes that are up to date", Duration::from_secs(20), &healthy).await.unwrap();

    let node = "[data-node=node-b]";
    page.click(&format!("{node} [data-testid=node-open]")).await.unwrap();
    page.until("its details", "document.querySelector('[data-details=node-b] [data-testid=no-drift]')")
        .await
        .unwrap();
    // The demo goes on, and a sync would write the rules anew.
    page.click("[data-testid=fault-on]").await.unwrap();
    let faults = "[...document.querySelectorAll('[data-testid=fault]')].map(one => one.innerText).join()";
    page.until("the first fault", &format!("{faults}.includes('stop syncing')")).await.unwrap();
    page.eval(&chosen("[data-testid=fault-kind]", "rule-deleted")).await.unwrap();
    page.until("its Services", "document.querySelector('[data-testid=fault-service]')").await.unwrap();
    page.eval(&chosen("[data-testid=fault-service]", "shop/cart")).await.unwrap();
    page.click("[data-testid=fault-on]").await.unwrap();
    let drift = "[...document.querySelectorAll('[data-details=node-b] .drift-line')]";
    let named =
        format!("{drift}.some(line => line.dataset.drift === 'missing' && line.innerText.includes('cart'))");
    page.until("the missing rules of cart", &named).await.unwrap();
    page.until("the fault by name", &format!("{faults}.includes('shop/cart')")).await.unwrap();
    let differs = format!(
        "document.querySelector('{node} [data-testid=node-standing]').innerText.includes('difference')"
    );
    page.until("the node's standing", &differs).await.unwrap();

    // The same in the rules of cart on this node, and in a trace through them.
    page.open(&format!("{}/?sel=svc/shop/cart&tab=rules&node=node-b&basis=observed", server.url))
        .await
        .unwrap();
    page.until("a missing rule", "document.querySelector('.rule[data-differs=missing]')").await.unwrap();
    let tag = "document.querySelector('[data-testid=rules-basis]').innerText";
    assert_eq!(page.eval(tag).await.unwrap(), "on the node, simulated");
    page.open(&format!("{}/?from=node/node-b&to=svc/shop/cart&basis=observed", server.url)).await.unwrap();
    let agreement = "document.querySelector('[data-testid=trace-agreement]')?.dataset.differs";
    page.until("a trace that differs", &format!("{agreement} === 'true'")).await.unwrap();

    // Off again, and the node writes its rules anew.
    let route = format!("{}/api/v1/sandbox/nodes/node-b/faults", server.url);
    assert_eq!(http::request("POST", &route, "application/json", "[]").await.unwrap().status, 204);
    page.until_within("a trace as predicted", Duration::from_secs(20), &format!("{agreement} === 'false'"))
        .await
        .unwrap();
    page.open(&format!("{}/?view=nodes", server.url)).await.unwrap();
    page.until_within("all nodes up to date again", Duration::from_secs(20), &healthy).await.unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

/// Chooses an option as the reader would.
fn chosen(selector: &str, value: &str) -> String {
    format!(
        "(() => {{ const select = document.querySelector({selector:?}); select.value = {value:?};
          select.dispatchEvent(new Event('change', {{ bubbles: true }})); return select.value === {value:?}; }})()"
    )
}
