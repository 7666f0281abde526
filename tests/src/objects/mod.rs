//! The lab's objects, and an API server as one more place for them.

mod api;

pub use ::lab::objects::*;

pub use self::api::ApiCluster;
