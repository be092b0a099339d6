//! Links on the deterministic runtime, and one on real sockets.

mod bounds;
mod breakage;
mod calls;
mod chaos;
mod network;
mod refusals;
mod sockets;
