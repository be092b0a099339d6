//! Links on the deterministic runtime, and one on real sockets.

mod bounds;
mod breakage;
mod calls;
mod network;
mod refusals;
mod sockets;
