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

/// How far asking a node has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Waiting(Ask),
    Slow(Ask),
    Voted(Digest),
    Failed,
}

/// An agreement under way. Pure: fed with what happened, it says what to ask.
pub(super) struct Agreement {
    needed: usize,
    /// In order of preference.
    nodes: Vec<(usize, Asked)>,
    /// Digests of the pages at hand.
    pages: Vec<Digest>,
}

impl Agreement {
    /// Asks nodes in this order, of which `needed` must agree.
    pub(super) fn new(order: &[usize], needed: usize) -> Self {
        assert!(needed > 0 && needed <= order.len(), "f + 1 nodes are of the committee");
        Self { needed, nodes: order.iter().map(|node| (*node, Asked::Not)).collect(), pages: Vec::new() }
    }

    fn votes(&self, digest: Digest) -> usize {
        self.nodes.iter().filter(|(_, asked)| *asked == Asked::Voted(digest)).count()
    }

    /// The digest that most nodes named, with their number.
    fn leading(&self) -> Option<(Digest, usize)> {
        let voted = self.nodes.iter().filter_map(|(_, asked)| match asked {
            Asked::Voted(digest) => Some((*digest, self.votes(*digest))),
            _ => None,
        });
        voted.max_by_key(|(_, votes)| *votes)
    }

    /// The digest that enough nodes named.
    pub(super) fn agreed(&self) -> Option<Digest> {
        self.leading().filter(|(_, votes)| *votes >= self.needed).map(|(digest, _)| digest)
    }

    /// The digest that enough nodes named, if its page is at hand.
    pub(super) fn done(&self) -> Option<Digest> {
        self.agreed().filter(|digest| self.pages.contains(digest))
    }

    /// Nodes that named another digest than the one agreed, and which.
    pub(super) fn deviating(&self, agreed: Digest) -> Vec<(usize, Digest)> {
        let deviating = self.nodes.iter().filter_map(|(node, asked)| match asked {
            Asked::Voted(digest) if *digest != agreed => Some((*node, *digest)),
            _ => None,
        });
        deviating.collect()
    }

    fn is_waiting_for_page(&self) -> bool {
        self.nodes.iter().any(|(_, asked)| *asked == Asked::Waiting(Ask::Page))
    }

    /// What to ask now.
    pub(super) fn asks(&mut self) -> Vec<(usize, Ask)> {
        let mut asks = Vec::new();
        if self.done().is_some() {
            return asks;
        }
        let leading = self.leading();
        let has_page = leading.is_some_and(|(digest, _)| self.pages.contains(&digest));
        let agreed = self.agreed();
        if !has_page && !self.is_waiting_for_page() {
            // Of those that named the agreed digest, any must have the page; before that, a new node votes with it.
            let candidate = self.nodes.iter_mut().find(|(_, asked)| match (agreed, *asked) {
                (Some(agreed), Asked::Voted(digest)) => digest == agreed,
                (_, asked) => asked == Asked::Not,
            });
            if let Some((node, asked)) = candidate {
                if *asked == Asked::Not {
                    *asked = Asked::Waiting(Ask::Page);
                }
                asks.push((*node, Ask::Page));
            }
        }
        let waiting = |(_, asked): &&(usize, Asked)| matches!(asked, Asked::Waiting(_));
        let mut expected = self.nodes.iter().filter(waiting).count() + leading.map_or(0, |(_, votes)| votes);
        for (node, asked) in &mut self.nodes {
            if expected >= self.needed {
                break;
            }
            if *asked == Asked::Not {
                *asked = Asked::Waiting(Ask::Digest);
                asks.push((*node, Ask::Digest));
                expected += 1;
            }
        }
        asks
    }
}
