//! The bed on which the kernel is asked, and what is asked of it.

pub mod agent;
pub mod bed;
pub mod question;
pub mod shares;
