//! The S3 surface over real HTTP on the loopback, against a store in memory.

mod authentication;
mod bodies;
mod buckets;
mod client;
mod cors;
mod lifecycle;
mod limits;
mod listing;
mod locking;
mod memory;
mod multipart;
mod objects;
mod past;
mod policy;
mod scopes;
mod tagging;
mod tls;
mod versions;
