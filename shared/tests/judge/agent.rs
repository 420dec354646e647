//! A thread that lives in a network namespace: it answers there on any number of sockets, and sends from any address.
//!
//! A server answers with its own address and that of its peer, so that the sender learns where its packet arrived and
//! with which source. Every packet has a source port that was not used before: conntrack knows none of them.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use vipscope_shared::model::Protocol;

use crate::support::namespace::Namespace;

/// Where to listen.
pub type Listen = (Protocol, SocketAddr);

/// One packet to be sent: the first of a connection, or the only one.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    pub protocol: Protocol,
    pub source: IpAddr,
    pub to: SocketAddr,
    /// When silence is taken for an answer.
    pub patience: Duration,
}

/// What its sender saw of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A server answered. `source` is what the packet was sent with, `peer` what the server took for it.
    Answer {
        at: SocketAddr,
        source: SocketAddr,
        peer: SocketAddr,
    },
    /// `ECONNREFUSED`: by a reset or by ICMP.
    Refused,
    Silence,
    /// The kernel would not send it.
    Unsent(String),
}

enum Job {
    Set(Vec<(String, String)>, mpsc::Sender<()>),
    Settle(Vec<Ipv6Addr>, mpsc::Sender<()>),
    Serve(Vec<Listen>, mpsc::Sender<()>),
    Fire(Vec<Shot>, mpsc::Sender<Vec<Seen>>),
}

/// The thread, by its jobs. It ends when this is dropped.
pub struct Agent {
    jobs: Option<UnboundedSender<Job>>,
    taken: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    pub fn enter(namespace: &Namespace) -> Agent {
        let (jobs, queue) = unbounded_channel();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let path = format!("/run/netns/{}", namespace.name());
        let thread = thread::spawn(move || {
            let file = File::open(path).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(queue, &counter));
        });
        Agent { jobs: Some(jobs), taken, thread: Some(thread) }
    }

    /// Writes settings under `/proc/sys/net`.
    pub fn set(&self, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (done, wait) = mpsc::channel();
        self.give(Job::Set(settings.collect(), done));
        wait.recv().unwrap();
    }

    /// Waits until these addresses are the namespace's own: the kernel adds the routes of IPv6 addresses later, in a
    /// worker of its own.
    pub fn settle(&self, addresses: Vec<Ipv6Addr>) {
        let (done, wait) = mpsc::channel();
        self.give(Job::Settle(addresses, done));
        wait.recv().unwrap();
    }

    /// Answers on these sockets, and on no other from now on.
    pub fn serve(&self, sockets: Vec<Listen>) {
        let (done, wait) = mpsc::channel();
        self.give(Job::Serve(sockets, done));
        wait.recv().unwrap();
    }

    /// Sends all at once; what was seen of each comes in the same order.
    pub fn fire(&self, shots: Vec<Shot>) -> mpsc::Receiver<Vec<Seen>> {
        let (done, wait) = mpsc::channel();
        self.give(Job::Fire(shots, done));
        wait
    }

    /// How many packets and connections its servers have taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn give(&self, job: Job) {
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        assert!(matches!(sent, Some(Ok(()))), "the thread in the namespace has ended");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn work(mut queue: UnboundedReceiver<Job>, taken: &Arc<AtomicUsize>) {
    let mut servers = JoinSet::new();
    while let Some(job) = queue.recv().await {
        match job {
            Job::Set(settings, done) => {
                for (name, value) in settings {
                    fs::write(format!("/proc/sys/net/{name}"), value).expect(&name);
                }
                let _ = done.send(());
            }
            Job::Settle(addresses, done) => {
                settle(&addresses).await;
                let _ = done.send(());
            }
            Job::Serve(sockets, done) => {
                servers.shutdown().await;
                for (protocol, address) in sockets {
                    serve(&mut servers, protocol, address, taken.clone()).await;
                }
                let _ = done.send(());
            }
            Job::Fire(shots, done) => {
                let flying: Vec<_> = shots.into_iter().map(|shot| tokio::spawn(fire(shot))).collect();
                // Servers and the packets of the other namespaces must not wait for these.
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for one in flying {
                        seen.push(one.await.unwrap());
                    }
                    let _ = done.send(seen);
                });
            }
        }
    }
}

async fn settle(addresses: &[Ipv6Addr]) {
    for _ in 0..2_000 {
        let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
        if addresses.iter().all(|ip| routes.lines().any(|line| is_local_route(line, *ip))) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("no local routes for {addresses:?}");
}

/// A line of `ipv6_route`: destination, its length, source, its length, next hop, metric, two counts, flags, device; all
/// in hex. `RTF_LOCAL` is the highest flag.
fn is_local_route(line: &str, ip: Ipv6Addr) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let flags = fields.get(8).and_then(|flags| u32::from_str_radix(flags, 16).ok());
    fields[0] == format!("{:032x}", ip.to_bits())
        && fields[1] == "80"
        && flags.is_some_and(|flags| flags & 0x8000_0000 != 0)
}

async fn serve(servers: &mut JoinSet<()>, protocol: Protocol, address: SocketAddr, taken: Arc<AtomicUsize>) {
    if protocol == Protocol::Udp {
        let socket = bound(address, || UdpSocket::bind(address)).await;
        servers.spawn(async move {
            let mut buffer = [0; 64];
            loop {
                if let Ok((_, peer)) = socket.recv_from(&mut buffer).await {
                    taken.fetch_add(1, Ordering::SeqCst);
                    let _ = socket.send_to(format!("{address} {peer}").as_bytes(), peer).await;
                }
            }
        });
        return;
    }
    let listener = bound(address, || TcpListener::bind(address)).await;
    servers.spawn(async move {
        loop {
            if let Ok((mut stream, peer)) = listener.accept().await {
                taken.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(format!("{address} {peer}").as_bytes()).await;
            }
        }
    });
}

/// A socket of the last cluster may live on for a moment in a child of another thread, between `fork` and `exec`.
async fn bound<T>(address: SocketAddr, bind: impl AsyncFn() -> io::Result<T>) -> T {
    for _ in 0..200 {
        match bind().await {
            Ok(socket) => return socket,
            Err(error) if is_taken(&error) => sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("cannot listen on {address}: {error}"),
        }
    }
    panic!("{address} stays taken");
}

async fn fire(shot: Shot) -> Seen {
    let answer = async {
        if shot.protocol == Protocol::Udp { datagram(&shot).await } else { connection(&shot).await }
    };
    match timeout(shot.patience, answer).await {
        Err(_) => Seen::Silence,
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Seen::Refused,
        Ok(Err(error)) => Seen::Unsent(error.to_string()),
    }
}

/// The next source port, from 10,000 on.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= 10_000 {
            return port;
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

async fn connection(shot: &Shot) -> io::Result<Seen> {
    let socket = loop {
        let socket = if shot.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match socket.bind(SocketAddr::new(shot.source, next_port())) {
            Ok(()) => break socket,
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    };
    let mut stream = socket.connect(shot.to).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(answer(&text, stream.local_addr()?))
}

async fn datagram(shot: &Shot) -> io::Result<Seen> {
    let socket = loop {
        match UdpSocket::bind(SocketAddr::new(shot.source, next_port())).await {
            Ok(socket) => break socket,
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
    };
    socket.connect(shot.to).await?;
    match socket.send(b"?").await {
        // OUTPUT dropped or refused it: which of both, comes by ICMP.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        sent => drop(sent?),
    }
    let mut buffer = [0; 200];
    let length = socket.recv(&mut buffer).await?;
    Ok(answer(&String::from_utf8_lossy(&buffer[..length]), socket.local_addr()?))
}

fn answer(text: &str, source: SocketAddr) -> Seen {
    let (at, peer) = text.split_once(' ').unwrap();
    Seen::Answer { at: at.parse().unwrap(), source, peer: peer.parse().unwrap() }
}
