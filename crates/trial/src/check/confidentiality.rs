//! Confidentiality: no plaintext outside gateways. Whoever holds the bytes scans them for
//! [`Needles`](crate::workload::content::Needles); every hit is a violation.

use super::Violation;

/// Plaintext that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where: a node's file, a connection.
    pub place: String,
    /// Bytes from the beginning of that.
    pub offset: usize,
    /// The id of the contents found.
    pub content: u64,
}

/// Judges what scans found.
pub fn check(hits: &[Hit]) -> Vec<Violation> {
    let violation = |Hit { place, offset, content }: &Hit| Violation {
        checker: "confidentiality",
        what: format!("{place} has the plaintext of content #{content} at byte {offset}"),
    };
    hits.iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hit_is_a_violation() {
        assert_eq!(check(&[]), []);
        let found = check(&[Hit { place: "node 2: shards/0".into(), offset: 8, content: 5 }]);
        assert_eq!(found[0].what, "node 2: shards/0 has the plaintext of content #5 at byte 8");
    }
}
