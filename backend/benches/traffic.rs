//! What the traffic of 10,000 active edges costs the server: readings of all nodes, rates, JSON, WebSockets. Prints the CPU
//! time of each update, without that of the readers, which are threads of their own here (`cargo bench -p vipscope`).
//! The budget is 5 % of a core at one update a second.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop when it can't go on"
)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vipscope::agent::{
    ConnectionCount, Counters, Dataplane, Fleet, Flow, FlowEnd, NodeRuleset, ProxyStatus, Reading,
};
use vipscope::cluster::{Limits, feed};
use vipscope::server::{AppState, Assets, BasePath, Metrics, Panel, Security, Traffic, app, serve};
use vipscope_shared::api::{ClusterInfo, SourceKind};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{Key, Pod, PodPhase, Protocol, ProxyMode, Text};
use vipscope_shared::traffic::TrafficBasis;

const NODES: u8 = 10;
const EDGES_EACH: u16 = 1000;
const READERS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(20);

/// A node with a thousand flows, each of which grows with every reading.
#[derive(Debug)]
struct Busy {
    number: u8,
    name: Text,
    readings: AtomicU64,
}

/// An address of a pod: its node and its number there.
fn address(node: u8, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 100 + node, high, low).into()
}

impl Dataplane for Busy {
    fn node(&self) -> &Text {
        &self.name
    }

    fn basis(&self) -> TrafficBasis {
        TrafficBasis::Simulated
    }

    fn status(&self) -> Reading<'_, ProxyStatus> {
        let status = ProxyStatus {
            mode: ProxyMode::Iptables,
            last_sync: None,
            waits: None,
            syncs: 1,
            rules_version: 1,
            faults: Vec::new(),
        };
        async move { Ok(status) }.boxed()
    }

    fn counters(&self) -> Reading<'_, Counters> {
        let readings = self.readings.fetch_add(1, Ordering::Relaxed);
        let flow = |number: u16| Flow {
            source: address(self.number, number),
            to: SocketAddr::new(Ipv4Addr::new(10, 96, 0, (number % 200) as u8).into(), 80),
            protocol: Protocol::Tcp,
            end: FlowEnd::Delivered(SocketAddr::new(address((self.number + 1) % NODES, number), 8080)),
        };
        let flows = (0..EDGES_EACH).map(|number| (flow(number), readings * u64::from(number % 50 + 1)));
        let counters = Counters { epoch: 1, open: 1, flows: flows.collect() };
        async move { Ok(counters) }.boxed()
    }

    fn rules(&self) -> Reading<'_, NodeRuleset> {
        async { Ok(NodeRuleset { mode: ProxyMode::Iptables, version: 1, families: Vec::new() }) }.boxed()
    }

    fn connections(&self) -> Reading<'_, Vec<ConnectionCount>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

#[derive(Debug)]
struct Nodes(Vec<Arc<Busy>>);

impl Fleet for Nodes {
    fn basis(&self) -> TrafficBasis {
        TrafficBasis::Simulated
    }

    fn planes(&self) -> Vec<Arc<dyn Dataplane>> {
        self.0.iter().map(|node| node.clone() as Arc<dyn Dataplane>).collect()
    }
}

/// Clock ticks that a task has used, of its `stat`.
fn ticks(stat: &str) -> u64 {
    let text = std::fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Reads the socket for ever; says how many bytes there were.
fn reader(address: SocketAddr, bytes: &AtomicU64, spent: &AtomicU64) {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /api/v1/traffic HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        spent.store(ticks("/proc/thread-self/stat"), Ordering::Relaxed);
    }
}

fn pods() -> Vec<Change> {
    let pod = |node: u8, number: u16| {
        let mut pod = Pod::named(Key::new("load", format!("workload-{node}-7c9f8d6b5-{number:05}")));
        pod.ips = vec![address(node, number)];
        pod.phase = PodPhase::Running;
        Change::Upsert(Object::Pod(Arc::new(pod)))
    };
    (0..NODES).flat_map(|node| (0..EDGES_EACH).map(move |number| pod(node, number))).collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let info = ClusterInfo { source: SourceKind::Sandbox, name: "load".into(), context: None, server: None };
    let (mut writer, feed) = feed::channel(info, "e1", Limits::default(), Timestamp::UNIX_EPOCH);
    writer.commit(pods(), Timestamp::UNIX_EPOCH);
    let node = |number| Busy { number, name: format!("node-{number}").into(), readings: AtomicU64::new(0) };
    let fleet = Arc::new(Nodes((0..NODES).map(|number| Arc::new(node(number))).collect()));
    let shutdown = CancellationToken::new();
    let address = runtime.block_on(async {
        let state = AppState {
            traffic: Traffic::start(fleet.clone(), feed.clone(), shutdown.clone()),
            feed,
            assets: Assets::new([], &BasePath::default()).unwrap(),
            metrics: Metrics::default(),
            shutdown: shutdown.clone(),
            panel: Panel::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, app(state, Security::default()), shutdown.clone()));
        address
    });
    let (bytes, spent): (Arc<AtomicU64>, [Arc<AtomicU64>; READERS]) = Default::default();
    for spent in &spent {
        let (bytes, spent) = (bytes.clone(), spent.clone());
        std::thread::spawn(move || reader(address, &bytes, &spent));
    }
    std::thread::sleep(WARM_UP);
    let readers = || spent.iter().map(|spent| spent.load(Ordering::Relaxed)).sum::<u64>();
    let updates = || fleet.0[0].readings.load(Ordering::Relaxed);
    let now = || (ticks("/proc/self/stat"), readers(), bytes.load(Ordering::Relaxed), updates());
    let (begin, before) = (Instant::now(), now());
    std::thread::sleep(MEASURED);
    let after = now();
    let seconds = begin.elapsed().as_secs_f64();
    // A reading of a node's counters also serves its status, so each update reads twice.
    let count = (after.3 - before.3) as f64;
    let used = ((after.0 - before.0) - (after.1 - before.1)) as f64 * 0.01;
    println!(
        "{} edges, {READERS} readers, {seconds:.1} s, {count} readings of each node",
        usize::from(NODES) * usize::from(EDGES_EACH)
    );
    println!(
        "{:.0} KiB a second to each reader",
        (after.2 - before.2) as f64 / seconds / 1024.0 / READERS as f64
    );
    println!(
        "server: {:.1} ms of CPU a second, {:.2} % of a core",
        used / seconds * 1000.0,
        used / seconds * 100.0
    );
    shutdown.cancel();
}
