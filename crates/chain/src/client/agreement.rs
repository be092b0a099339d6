//! Deciding when nodes agree on a page.
//!
//! One node is asked for the page, f others for its digest. When f + 1 nodes name one digest, one of them is honest, and
//! honest nodes name the digest of the true page, because the height is fixed; so the page with that digest is true and
//! every node that named another was lying. Slow and failing nodes are replaced as in [`super::quorum`].

use proof::Digest;

/// What to ask a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The page.
    Page,
    /// Its digest.
    Digest,
}

/// How far asking one thing of a node has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Waiting,
    Slow,
    Answered,
    Failed,
}

/// An agreement under way. Pure: fed with what happened, it says what to ask.
pub(super) struct Agreement {
    needed: usize,
    /// In order of preference.
    nodes: Vec<Node>,
    /// Digests of the pages at hand.
    pages: Vec<Digest>,
}

struct Node {
    node: usize,
    page: Asked,
    digest: Asked,
    /// What it named, by a page or a digest.
    vote: Option<Digest>,
}

impl Node {
    fn is_fresh(&self) -> bool {
        self.page == Asked::Not && self.digest == Asked::Not
    }

    fn is_expected(&self) -> bool {
        self.vote.is_none() && (self.page == Asked::Waiting || self.digest == Asked::Waiting)
    }
}

impl Agreement {
    /// Asks nodes in this order, of which `needed` must agree.
    pub(super) fn new(order: &[usize], needed: usize) -> Self {
        assert!(needed > 0 && needed <= order.len(), "f + 1 nodes are of the committee");
        let node = |node: &usize| Node { node: *node, page: Asked::Not, digest: Asked::Not, vote: None };
        Self { needed, nodes: order.iter().map(node).collect(), pages: Vec::new() }
    }

    /// The digest that most nodes named, with their number.
    fn leading(&self) -> Option<(Digest, usize)> {
        let votes = |digest: Digest| self.nodes.iter().filter(|node| node.vote == Some(digest)).count();
        let voted = self.nodes.iter().filter_map(|node| node.vote);
        voted.map(|digest| (digest, votes(digest))).max_by_key(|(_, votes)| *votes)
    }

    /// The digest that enough nodes named.
    fn agreed(&self) -> Option<Digest> {
        self.leading().filter(|(_, votes)| *votes >= self.needed).map(|(digest, _)| digest)
    }

    /// The digest that enough nodes named, if its page is at hand.
    pub(super) fn done(&self) -> Option<Digest> {
        self.agreed().filter(|digest| self.pages.contains(digest))
    }

    /// Nodes that named another digest than the one agreed, and which.
    pub(super) fn deviating(&self, agreed: Digest) -> Vec<(usize, Digest)> {
        let vote = |node: &Node| node.vote.filter(|vote| *vote != agreed).map(|vote| (node.node, vote));
        self.nodes.iter().filter_map(vote).collect()
    }

    /// What to ask now.
    pub(super) fn asks(&mut self) -> Vec<(usize, Ask)> {
        let mut asks = Vec::new();
        if self.done().is_some() {
            return asks;
        }
        let (leading, agreed) = (self.leading(), self.agreed());
        let has_page = leading.is_some_and(|(digest, _)| self.pages.contains(&digest));
        if !has_page && !self.nodes.iter().any(|node| node.page == Asked::Waiting) {
            // Once a digest is agreed, those that named it must have its page; before, a new node votes with one.
            let candidate = self.nodes.iter_mut().find(|node| match agreed {
                Some(agreed) => node.vote == Some(agreed) && node.page == Asked::Not,
                None => node.is_fresh(),
            });
            if let Some(node) = candidate {
                node.page = Asked::Waiting;
                asks.push((node.node, Ask::Page));
            }
        }
        let expected = self.nodes.iter().filter(|node| node.is_expected()).count();
        let missing = self.needed.saturating_sub(expected + leading.map_or(0, |(_, votes)| votes));
        for node in self.nodes.iter_mut().filter(|node| node.is_fresh()).take(missing) {
            node.digest = Asked::Waiting;
            asks.push((node.node, Ask::Digest));
        }
        asks
    }

    fn asked(&mut self, node: usize, ask: Ask) -> &mut Asked {
        let node = self.nodes.iter_mut().find(|candidate| candidate.node == node);
        let node = node.expect("only known nodes are asked");
        match ask {
            Ask::Page => &mut node.page,
            Ask::Digest => &mut node.digest,
        }
    }

    /// The node named this digest, by its page or alone. Its last word counts.
    pub(super) fn answered(&mut self, node: usize, ask: Ask, digest: Digest) {
        *self.asked(node, ask) = Asked::Answered;
        let voter = self.nodes.iter_mut().find(|candidate| candidate.node == node);
        voter.expect("only known nodes are asked").vote = Some(digest);
        if ask == Ask::Page && !self.pages.contains(&digest) {
            self.pages.push(digest);
        }
    }

    /// The node takes long. Says whether it was still waited for.
    pub(super) fn slow(&mut self, node: usize, ask: Ask) -> bool {
        let asked = self.asked(node, ask);
        let waiting = *asked == Asked::Waiting;
        if waiting {
            *asked = Asked::Slow;
        }
        waiting
    }

    /// The call failed, or its answer is of no use.
    pub(super) fn failed(&mut self, node: usize, ask: Ask) {
        *self.asked(node, ask) = Asked::Failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUE: Digest = Digest([1; 32]);
    const FALSE: Digest = Digest([2; 32]);

    #[test]
    fn a_page_and_f_digests_suffice() {
        let mut agreement = Agreement::new(&[3, 1, 0, 2], 2);
        assert_eq!(agreement.asks(), [(3, Ask::Page), (1, Ask::Digest)]);
        agreement.answered(3, Ask::Page, TRUE);
        assert!(agreement.asks().is_empty() && agreement.done().is_none());
        agreement.answered(1, Ask::Digest, TRUE);
        assert_eq!(agreement.done(), Some(TRUE));
        assert!(agreement.deviating(TRUE).is_empty());
    }

    #[test]
    fn a_liar_with_the_page_is_outvoted_and_named() {
        let mut agreement = Agreement::new(&[0, 1, 2, 3], 2);
        agreement.asks();
        agreement.answered(0, Ask::Page, FALSE);
        agreement.answered(1, Ask::Digest, TRUE);
        assert_eq!(agreement.asks(), [(2, Ask::Page)]);
        agreement.answered(2, Ask::Page, TRUE);
        assert_eq!(agreement.done(), Some(TRUE));
        assert_eq!(agreement.deviating(TRUE), [(0, FALSE)]);
    }

    #[test]
    fn an_agreed_page_is_fetched_from_one_who_named_it() {
        let mut agreement = Agreement::new(&[0, 1, 2, 3], 2);
        agreement.asks();
        agreement.failed(0, Ask::Page);
        assert_eq!(agreement.asks(), [(2, Ask::Page)]);
        agreement.slow(2, Ask::Page);
        agreement.answered(1, Ask::Digest, TRUE);
        assert_eq!(agreement.asks(), [(3, Ask::Page)]);
        agreement.answered(3, Ask::Page, FALSE);
        assert!(agreement.asks().is_empty());
        agreement.answered(2, Ask::Page, TRUE);
        assert_eq!(agreement.done(), Some(TRUE));
    }

    proptest! {
        /// Whatever up to f nodes say, nothing but the truth is agreed on; and with f + 1 honest nodes that answer, and
        /// the liars' help withheld, it is.
        #[test]
        fn only_the_truth_is_agreed_on(
            f in 0..3usize,
            liars in prop::collection::vec(0..3u8, 7),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 100),
        ) {
            let n = 3 * f + 1;
            let order: Vec<_> = (0..n).collect();
            let mut agreement = Agreement::new(&order, f + 1);
            let mut flying = agreement.asks();
            for pick in picks {
                if flying.is_empty() {
                    break;
                }
                let at = pick.index(flying.len());
                let (node, ask) = flying[at];
                if pick.index(5) == 0 {
                    agreement.slow(node, ask);
                } else {
                    flying.swap_remove(at);
                    // The first f nodes in order are faulty, so that they are asked.
                    match liars[node] {
                        0 if node < f => agreement.failed(node, ask),
                        1 if node < f => agreement.answered(node, ask, FALSE),
                        _ => agreement.answered(node, ask, TRUE),
                    }
                }
                flying.extend(agreement.asks());
                prop_assert!(agreement.done().is_none_or(|digest| digest == TRUE));
            }
            prop_assert!(!flying.is_empty() || agreement.done() == Some(TRUE));
        }
    }
}
