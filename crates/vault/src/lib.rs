//! A gateway's core: the one write path and the one read path.
