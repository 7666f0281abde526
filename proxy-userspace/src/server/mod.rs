//! The agent's HTTP servers: its health (S32), its metrics and status, the labels of Services, its page, and the health checks of
//! Services (S22). They read the [`Status`](crate::agent::status::Status) that the agent publishes, and the
//! [labels](crate::agent::labels::ServiceLabels) that it keeps. A lock that they share with the agent is held only while a little
//! is copied, so neither waits for the other's work.

pub mod checks;
mod connections;
mod health;
pub mod labels;
mod listener;
pub(crate) mod metrics;
pub mod page;
pub mod ports;
mod respond;
pub mod scraped;
pub mod status;
