//! A line that can be cut: a TCP proxy between a client and a server. Cutting closes every connection and refuses
//! new ones, as a server does that has gone; restoring listens on the same port again.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The proxy.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    upstream: String,
    serving: Option<JoinHandle<()>>,
}

impl Cut {
    /// A whole line to `upstream` (`http://HOST:PORT`).
    pub async fn to(upstream: &str) -> Result<Self> {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = Some(tokio::spawn(serve(listener, upstream.clone())));
        Ok(Self { address, upstream, serving })
    }

    /// The near end, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes all connections and refuses new ones; both are done when this returns.
    pub async fn cut(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Accepts connections again.
    pub async fn restore(&mut self) -> Result<()> {
        self.cut().await;
        let listener = TcpListener::bind(self.address).await;
        let listener = listener.with_context(|| format!("cannot listen on {} again", self.address))?;
        self.serving = Some(tokio::spawn(serve(listener, self.upstream.clone())));
        Ok(())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// Aborted as a whole: the set ends the connections with it.
async fn serve(listener: TcpListener, upstream: String) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let upstream = upstream.clone();
        connections.spawn(async move { relay(near, &upstream).await });
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that breaks is what this is for: its error is nobody's.
async fn relay(mut near: TcpStream, upstream: &str) {
    if let Ok(mut far) = TcpStream::connect(upstream).await {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_cut_line_closes_refuses_and_comes_back() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = echo.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let mut line = Cut::to(&upstream).await.unwrap();
        let mut stream = TcpStream::connect(line.address).await.unwrap();
        let mut byte = [0];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");
        line.cut().await;
        assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)), "closed");
        // A process that another test starts has the port, too, from its fork until it is another program.
        let mut tries = 0;
        while TcpStream::connect(line.address).await.is_ok() {
            tries += 1;
            assert!(tries < 100, "refused");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        line.restore().await.unwrap();
        let mut stream = TcpStream::connect(line.address).await.unwrap();
        stream.write_all(b"b").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
    }
}
