//! vipscope as a library, so that its parts can be tested without a process.

pub mod agent;
pub mod cluster;
pub mod sandbox;
pub mod server;
