//! Deciding what became of a submission.
//!
//! One verified answer proves that and how the transaction was decided. It is acknowledged when a quorum has applied its
//! block besides, because that is what later reads rely on. That it is not admissible, or that there is no room, cannot
//! be proved: it is believed when f + 1 nodes say so.

/// What a node last said, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Inadmissible,
    Overloaded,
    Applied,
}

/// What to tell the submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was decided, and a quorum has applied its block.
    Decided,
    /// It can never be decided.
    Inadmissible,
    /// There is no room.
    Overloaded,
}

/// A submission under way. Pure.
pub(super) struct Tally {
    quorum: usize,
    /// f + 1: one of so many is honest.
    k: usize,
    said: Vec<Said>,
    decided: bool,
}

impl Tally {
    /// Of a committee of `n`.
    pub(super) fn new(n: usize, quorum: usize, k: usize) -> Self {
        Self { quorum, k, said: vec![Said::Nothing; n], decided: false }
    }

    /// The node proved the decision, or, when that is proved, that it has applied a block not below.
    pub(super) fn applied(&mut self, node: usize) {
        self.decided = true;
        self.said[node] = Said::Applied;
    }

    /// The node says that the transaction is not admissible.
    pub(super) fn inadmissible(&mut self, node: usize) {
        self.says(node, Said::Inadmissible);
    }

    /// The node says that it has no room.
    pub(super) fn overloaded(&mut self, node: usize) {
        self.says(node, Said::Overloaded);
    }

    /// The node is waiting for the decision, or does not answer.
    pub(super) fn silent(&mut self, node: usize) {
        self.says(node, Said::Nothing);
    }

    fn says(&mut self, node: usize, said: Said) {
        if self.said[node] != Said::Applied {
            self.said[node] = said;
        }
    }

    fn count(&self, said: Said) -> usize {
        self.said.iter().filter(|of| **of == said).count()
    }

    /// What to tell the submitter, once that is known.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        if self.decided {
            return (self.count(Said::Applied) >= self.quorum).then_some(Verdict::Decided);
        }
        if self.count(Said::Inadmissible) >= self.k {
            return Some(Verdict::Inadmissible);
        }
        (self.count(Said::Overloaded) >= self.k).then_some(Verdict::Overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_needs_a_quorum_that_applied_it() {
        let mut tally = Tally::new(4, 3, 2);
        tally.applied(0);
        tally.applied(2);
        tally.applied(2);
        assert_eq!(tally.verdict(), None);
        tally.applied(1);
        assert_eq!(tally.verdict(), Some(Verdict::Decided));
    }

    #[test]
    fn f_nodes_alone_decide_nothing() {
        let mut tally = Tally::new(4, 3, 2);
        tally.inadmissible(0);
        tally.overloaded(1);
        assert_eq!(tally.verdict(), None);
        tally.silent(1);
        tally.inadmissible(3);
        assert_eq!(tally.verdict(), Some(Verdict::Inadmissible));
    }

    #[test]
    fn room_found_later_is_room() {
        let mut tally = Tally::new(4, 3, 2);
        tally.overloaded(0);
        tally.silent(0);
        tally.overloaded(1);
        assert_eq!(tally.verdict(), None);
        tally.overloaded(0);
        assert_eq!(tally.verdict(), Some(Verdict::Overloaded));
    }

    #[test]
    fn proof_outweighs_what_f_plus_one_say() {
        let mut tally = Tally::new(4, 3, 2);
        tally.applied(0);
        tally.inadmissible(1);
        tally.inadmissible(2);
        assert_eq!(tally.verdict(), None, "the decision is proved; what is missing is a quorum");
    }
}
