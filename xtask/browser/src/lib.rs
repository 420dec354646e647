//! The real vipscope in a real Chromium: starts both, looks at the page as a user would, and cleans up whatever
//! happens. Shared by the end-to-end tests, the frame benchmark and the screenshots.

pub mod chromium;
pub mod cut;
pub mod http;
pub mod process;
pub mod synthetic;

use std::time::Duration;

pub use chromium::{Browser, Page};
pub use cut::Cut;
pub use process::{Vipscope, workspace};

/// How long anything may take that takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
