//! What the agent says over HTTP: its health (S32), metrics, and the health checks of Services (S22). All of it is read from
//! the [`Status`](crate::agent::status::Status) that the agent publishes; nothing here waits for the agent or keeps it waiting.

pub mod checks;
mod connections;
mod health;
mod listener;
mod metrics;
pub mod ports;
mod respond;
pub mod scraped;
