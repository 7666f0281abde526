//! The agent: what it reads, what it writes into maps, how it starts and ends. Real agents, sockets and API servers.

mod addresses;
mod api_events;
mod bad_manifests;
mod bad_objects;
mod capture;
mod config_file;
mod decisions;
mod dump;
mod explain;
mod filters;
mod full;
mod get;
mod growth;
mod hooks;
mod import;
mod inspect;
mod life;
mod lists;
mod live;
mod objects;
mod quiet;
mod scale;
mod status;
mod top;
mod troubleshoot;
mod watch;
