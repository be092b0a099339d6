//! Hold it: the shard log, storage receipts, and both halves of their protocol.
