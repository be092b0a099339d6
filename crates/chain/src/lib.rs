//! Order it: consensus, authenticated state, the derived index, and both halves of their protocol.
