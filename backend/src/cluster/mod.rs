//! A cluster's state, kept right: [`connect`] finds the API server, [`watch`] lists and watches it, [`index`] is the single
//! writer of the state, [`feed`] hands snapshots and deltas to any number of readers.
//!
//! A real cluster, the sandbox and the tests all come through here, over a real socket.

pub mod connect;
pub mod feed;
pub mod index;
pub mod watch;

pub use connect::{ConnectError, Connection};
pub use feed::{Cursor, Feed, Limits, Resync, Writer};
pub use index::Index;
pub use watch::{Scope, Update};
