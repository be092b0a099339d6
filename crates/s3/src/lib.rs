//! The S3 surface: speaks the protocol, owns no truth.
