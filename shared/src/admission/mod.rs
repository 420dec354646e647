//! What an API server does to objects before it stores them: types of fields, strategic merge, defaults, validation and
//! allocation, with its messages.
//!
//! In and out are JSON values in the shape of the API types (the caller has checked that known fields have the right
//! types), because messages name JSON paths and unknown fields must survive.

pub mod allocation;
pub mod endpoints;
mod families;
mod field;
pub mod labels;
pub mod service;
pub mod strategic;
pub mod types;

pub use field::{Fault, FieldError};
