//! The URL: what it says is shown, what is shown is what it says.

use vipscope_frontend::canvas::Theme;
use vipscope_frontend::view_state::{Chrome, Screen, Tab, ViewState};
use vipscope_shared::model::{IpFamily, Key, ProxyMode};
use vipscope_shared::proxy::reading::Wanted;
use vipscope_shared::scene::{Camera, Target};
use wasm_bindgen_test::wasm_bindgen_test;

fn example() -> ViewState {
    ViewState {
        namespaces: ["edge".into(), "shop".into()].into(),
        selected: Some(Target::Service(Key::new("shop", "cart"))),
        camera: Some(Camera { x: -12.5, y: 40.0, zoom: 1.25 }),
        theme: Some(Theme::Dark),
        chrome: Chrome::Kiosk,
        screen: Screen::Table,
        tab: Some(Tab::Changes),
        rules: Wanted {
            node: Some("node a".into()),
            mode: Some(ProxyMode::Ipvs),
            family: Some(IpFamily::IPv6),
        },
        query: "app=web & more/ü".to_owned(),
    }
}

#[wasm_bindgen_test]
fn prints_what_a_reader_can_read() {
    let text = example().print();
    assert_eq!(
        text,
        "view=table&ns=edge,shop&sel=svc/shop/cart&tab=changes&node=node%20a&mode=ipvs&family=ipv6&cam=-12.5,40,1.25&theme=dark\
         &q=app%3Dweb%20%26%20more/%C3%BC&kiosk=1"
    );
}

#[wasm_bindgen_test]
fn parse_undoes_print() {
    let targets = [
        "svc/shop/cart",
        "svc/shop/cart:http",
        "pod/shop/cart-x",
        "node/node-a",
        "ns/shop",
        "from/outside",
        "from/nodes",
        "from/pods/shop",
        "address/192.0.2.10",
    ];
    let mut views: Vec<ViewState> = targets
        .iter()
        .map(|target| ViewState { selected: target.parse().ok(), ..ViewState::default() })
        .collect();
    assert!(views.iter().all(|view| view.selected.is_some()));
    views.push(ViewState::default());
    views.push(example());
    views.push(ViewState { namespaces: ["a,b&c=d%".into(), "<img>".into()].into(), ..ViewState::default() });
    for mode in ProxyMode::ALL {
        let rules = Wanted { mode: Some(mode), ..Wanted::default() };
        views.push(ViewState { rules, tab: Some(Tab::Rules), ..ViewState::default() });
    }
    for view in views {
        let text = view.print();
        assert_eq!(ViewState::parse(&text), view, "{text}");
        assert_eq!(ViewState::parse(&format!("?{text}")), view, "{text}");
    }
}

#[wasm_bindgen_test]
fn defaults_are_not_printed() {
    assert_eq!(ViewState::default().print(), "");
    assert_eq!(ViewState::parse(""), ViewState::default());
}

#[wasm_bindgen_test]
fn nonsense_is_left_out() {
    let rows = [
        "sel=javascript:alert(1)",
        "sel=svc/shop",
        "cam=1,2",
        "cam=NaN,0,1",
        "cam=0,0,-1",
        "cam=0,0,inf",
        "theme=pink",
        "view=elsewhere",
        "tab=nope",
        "mode=ebpf",
        "family=ipv5",
        "node=",
        "kiosk=2",
        "ns=",
        "ns=,,",
        "unknown=1",
        "&&&",
        "=",
    ];
    for row in rows {
        assert_eq!(ViewState::parse(row), ViewState::default(), "{row}");
    }
    assert_eq!(ViewState::parse("q=a%2").query, "a%2");
    assert_eq!(ViewState::parse("q=%zz+b").query, "%zz b");
    assert_eq!(ViewState::parse("q=%FF").query, "\u{fffd}");
    assert_eq!(ViewState::parse("q=%+1").query, "% 1");
}
