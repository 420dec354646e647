//! SPDY/3.1, as far as port-forward needs it: pairs of streams, one for data and one for errors, per connection to a port.
//!
//! Frames: `0x8003 type flags length` or `stream flags length`, then the payload. Windows are left out, as the Go library that
//! kubectl uses does.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::BUFFER;
use super::headers::{Reader, Writer};
use super::pod::PodServer;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;
/// Largest payload that is taken.
const LARGEST: usize = 1 << 20;
/// Frames and chunks that may wait for a slow side.
const WAITING: usize = 32;
/// Streams of one connection at a time.
const MOST_STREAMS: usize = 1024;

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    frame.put_u32(payload.len() as u32);
    frame.put(payload);
    frame.freeze()
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u32(stream);
    frame.put_u32(u32::from(flags) << 24 | payload.len() as u32);
    frame.put(payload);
    frame.freeze()
}

/// What is known of a stream of the client.
struct Stream {
    /// Of an error stream: which requests it is for.
    error_of: Option<String>,
    /// Of a data stream: to the pod.
    to_pod: Option<mpsc::Sender<Bytes>>,
}

/// Serves a connection until one side closes it.
pub async fn serve(connection: impl AsyncRead + AsyncWrite + Send + 'static, server: Arc<PodServer>) {
    let (reader, mut writer) = tokio::io::split(connection);
    let (out, mut frames) = mpsc::channel::<Bytes>(WAITING);
    let write = async move {
        while let Some(frame) = frames.recv().await {
            if writer.write_all(&frame).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    };
    let Some(replies) = Writer::new() else { return };
    let session = Session { server, out, streams: HashMap::new(), headers: Reader::new(), replies };
    // A connection that breaks is how most of them end.
    let _ = tokio::join!(session.run(reader), write);
}

struct Session {
    server: Arc<PodServer>,
    out: mpsc::Sender<Bytes>,
    streams: HashMap<u32, Stream>,
    headers: Reader,
    replies: Writer,
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

impl Session {
    async fn run(mut self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let (first, second) = (reader.read_u32().await?, reader.read_u32().await?);
            let (flags, length) = ((second >> 24) as u8, (second & 0x00ff_ffff) as usize);
            if length > LARGEST {
                return Err(broken("a frame is too long"));
            }
            let mut payload = vec![0; length];
            reader.read_exact(&mut payload).await?;
            if first >> 31 == 0 {
                self.take_data(first, flags, payload).await;
                continue;
            }
            match (first & 0xffff) as u16 {
                SYN_STREAM => self.open(&payload).await?,
                RST_STREAM => {
                    let id = payload.get(..4).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
                    self.streams.remove(&id.unwrap_or_default());
                }
                PING => self.send(control(PING, &payload)).await?,
                GOAWAY => return Ok(()),
                _ => {}
            }
        }
    }

    async fn send(&self, frame: Bytes) -> io::Result<()> {
        self.out.send(frame).await.map_err(|_| broken("the connection is closed"))
    }

    async fn take_data(&mut self, id: u32, flags: u8, payload: Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(to_pod) = &stream.to_pod
            && !payload.is_empty()
        {
            // The pod may have closed: its answer says so.
            let _ = to_pod.send(payload.into()).await;
        }
        if flags & FIN != 0 {
            stream.to_pod = None;
        }
    }

    async fn open(&mut self, payload: &[u8]) -> io::Result<()> {
        let (id, block) = payload.split_at_checked(10).ok_or_else(|| broken("a SYN_STREAM is too short"))?;
        let id =
            id[..4].try_into().map(u32::from_be_bytes).map_err(|_| broken("no stream id"))? & 0x7fff_ffff;
        let headers = self.headers.read(block).ok_or_else(|| broken("headers can't be read"))?;
        if self.streams.len() >= MOST_STREAMS {
            return Err(broken("too many streams"));
        }
        let reply = self.replies.write(&[]).ok_or_else(|| broken("headers can't be written"))?;
        self.send(control(SYN_REPLY, &[&id.to_be_bytes()[..], &reply].concat())).await?;
        let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
        let request = header("requestid").to_owned();
        if header("streamtype") == "error" {
            self.streams.insert(id, Stream { error_of: Some(request), to_pod: None });
            return Ok(());
        }
        let pair = self.streams.iter().find(|(_, stream)| stream.error_of.as_ref() == Some(&request));
        let error = pair.map(|(id, _)| *id);
        let port = header("port").parse().unwrap_or_default();
        let to_pod = match self.server.connect(port) {
            Ok(connection) => Some(forward(connection, id, error, self.out.clone())),
            Err(why) => {
                if let Some(error) = error {
                    self.send(data(error, FIN, why.as_bytes())).await?;
                }
                self.send(data(id, FIN, &[])).await?;
                None
            }
        };
        // The error stream has done its part: it is closed with the data.
        error.map(|error| self.streams.remove(&error));
        self.streams.insert(id, Stream { error_of: None, to_pod });
        Ok(())
    }
}

/// Moves bytes between a stream and a pod; answers where to put those for the pod.
fn forward(
    connection: DuplexStream,
    id: u32,
    error: Option<u32>,
    out: mpsc::Sender<Bytes>,
) -> mpsc::Sender<Bytes> {
    let (to_pod, mut chunks) = mpsc::channel::<Bytes>(WAITING);
    let (mut from_pod, mut into_pod): (ReadHalf<_>, WriteHalf<_>) = tokio::io::split(connection);
    tokio::spawn(async move {
        while let Some(chunk) = chunks.recv().await {
            if into_pod.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = into_pod.shutdown().await;
    });
    tokio::spawn(async move {
        let mut chunk = vec![0; BUFFER];
        while let Ok(count @ 1..) = from_pod.read(&mut chunk).await {
            if out.send(data(id, 0, &chunk[..count])).await.is_err() {
                return;
            }
        }
        let _ = out.send(data(id, FIN, &[])).await;
        if let Some(error) = error {
            let _ = out.send(data(error, FIN, &[])).await;
        }
    });
    to_pod
}
