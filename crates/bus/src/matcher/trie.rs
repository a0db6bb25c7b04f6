//! Filters as a tree of tokens. Nodes lie in one vector and name each other by number, so that
//! neither a deep filter nor the end of the table recurses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::{RouteId, Routes, subject::tokens};

type NodeId = u32;
const ROOT: NodeId = 0;

/// Bytes that a node takes, about: itself, the table for its first child, that child's key.
pub(super) const NODE_COST: usize = 320;
/// Bytes that the first member of a queue group takes besides the group's name, about.
pub(super) const GROUP_COST: usize = 640;

#[derive(Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// Nodes that are not in use.
    free: Vec<NodeId>,
    routes: usize,
}

/// Where the tokens up to here lead.
#[derive(Default)]
struct Node {
    literals: HashMap<Box<[u8]>, NodeId, RandomState>,
    star: Option<NodeId>,
    /// Of filters that end here.
    here: Leaf,
    /// Of filters that go on with `>`.
    below: Leaf,
}

#[derive(Default)]
struct Leaf {
    plain: BTreeSet<RouteId>,
    groups: BTreeMap<Box<[u8]>, BTreeSet<RouteId>>,
}

impl Leaf {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    fn insert(&mut self, queue: Option<&[u8]>, id: RouteId) -> bool {
        let Some(queue) = queue else { return self.plain.insert(id) };
        match self.groups.get_mut(queue) {
            Some(group) => group.insert(id),
            None => self.groups.insert(queue.into(), BTreeSet::from([id])).is_none(),
        }
    }

    fn remove(&mut self, queue: Option<&[u8]>, id: RouteId) -> bool {
        let Some(queue) = queue else { return self.plain.remove(&id) };
        let Some(group) = self.groups.get_mut(queue) else { return false };
        let removed = group.remove(&id);
        if group.is_empty() {
            self.groups.remove(queue);
        }
        removed
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.star.is_none()
            && self.here.is_empty()
            && self.below.is_empty()
    }

    fn child(&self, token: &[u8]) -> Option<NodeId> {
        match token {
            b"*" => self.star,
            _ => self.literals.get(token).copied(),
        }
    }

    fn adopt(&mut self, token: &[u8], child: NodeId) {
        match token {
            b"*" => self.star = Some(child),
            _ => drop(self.literals.insert(token.into(), child)),
        }
    }

    fn disown(&mut self, token: &[u8]) {
        match token {
            b"*" => self.star = None,
            _ => drop(self.literals.remove(token)),
        }
    }

    fn leaf(&mut self, below: bool) -> &mut Leaf {
        if below { &mut self.below } else { &mut self.here }
    }
}

/// The tokens that lead to a filter's node, and whether `>` follows them.
fn path(filter: &[u8]) -> (impl Iterator<Item = &[u8]>, bool) {
    let below = filter == b">" || filter.ends_with(b".>");
    let tokens = tokens(filter).take_while(move |token| !below || *token != b">");
    (tokens, below)
}

impl Trie {
    pub(super) fn len(&self) -> usize {
        self.routes
    }

    /// Nodes that are in use.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Adds a route under a valid filter; `false` where it is there.
    pub(super) fn insert(&mut self, filter: &[u8], queue: Option<&[u8]>, id: RouteId) -> bool {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let (tokens, below) = path(filter);
        let mut at = ROOT;
        for token in tokens {
            at = self.node(at).child(token).unwrap_or_else(|| self.grow(at, token));
        }
        let inserted = self.node_mut(at).leaf(below).insert(queue, id);
        self.routes += usize::from(inserted);
        inserted
    }

    fn grow(&mut self, parent: NodeId, token: &[u8]) -> NodeId {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            (self.nodes.len() - 1) as NodeId
        });
        self.node_mut(parent).adopt(token, child);
        child
    }

    /// Takes a route of a valid filter away, and the nodes that nothing is in any more; `false` where
    /// it was not.
    pub(super) fn remove(&mut self, filter: &[u8], queue: Option<&[u8]>, id: RouteId) -> bool {
        let (tokens, below) = path(filter);
        let mut walked = Vec::new();
        let mut at = ROOT;
        for token in tokens {
            let Some(child) = self.nodes.get(at as usize).and_then(|node| node.child(token)) else {
                return false;
            };
            walked.push((at, token));
            at = child;
        }
        let removed = !self.nodes.is_empty() && self.node_mut(at).leaf(below).remove(queue, id);
        self.routes -= usize::from(removed);
        self.prune(&walked, at);
        removed
    }

    fn prune(&mut self, walked: &[(NodeId, &[u8])], mut at: NodeId) {
        for (parent, token) in walked.iter().rev() {
            if !self.node(at).is_empty() {
                return;
            }
            // a map keeps its room: a node that is used again begins anew
            *self.node_mut(at) = Node::default();
            self.free.push(at);
            self.node_mut(*parent).disown(token);
            at = *parent;
        }
    }

    /// Who gets what is published to `subject`, and how many nodes were looked at.
    pub(super) fn routes(&self, subject: &[u8]) -> (Routes, usize) {
        let mut found = Found::default();
        let mut nodes = 0;
        let subject: Vec<&[u8]> = tokens(subject).collect();
        if self.routes > 0 && !subject.contains(&&b""[..]) {
            nodes = self.walk(&subject, |leaf| found.add(leaf));
        }
        (found.finish(), nodes)
    }

    /// Hands out every leaf that `subject` reaches, and returns over how many nodes. The stack
    /// holds at most two entries a token.
    fn walk<'a>(&'a self, subject: &[&[u8]], mut reached: impl FnMut(&'a Leaf)) -> usize {
        let mut stack = vec![(ROOT, 0)];
        let mut nodes = 0;
        while let Some((at, depth)) = stack.pop() {
            nodes += 1;
            let node = self.node(at);
            let Some(token) = subject.get(depth) else {
                reached(&node.here);
                continue;
            };
            reached(&node.below);
            stack.extend(node.star.map(|child| (child, depth + 1)));
            // a literal `*` in a subject is no key here: `child` would take it for the wildcard
            stack.extend(node.literals.get(*token).map(|child| (*child, depth + 1)));
        }
        nodes
    }
}

/// Routes from several leaves.
#[derive(Default)]
struct Found<'a> {
    plain: Vec<RouteId>,
    groups: BTreeMap<&'a [u8], Vec<RouteId>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, leaf: &'a Leaf) {
        self.plain.extend(&leaf.plain);
        for (queue, ids) in &leaf.groups {
            self.groups.entry(queue).or_default().extend(ids);
        }
    }

    fn finish(mut self) -> Routes {
        self.plain.sort_unstable();
        let groups = self.groups.into_values().map(|mut ids| {
            ids.sort_unstable();
            ids.into()
        });
        Routes { plain: self.plain.into(), groups: groups.collect() }
    }
}
