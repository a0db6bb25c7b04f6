//! Random operations against a list.

use proptest::prelude::*;

use super::{
    super::{Filter, Purge},
    *,
};

#[derive(Debug, Clone)]
enum Op {
    Append {
        subject: usize,
        len: usize,
        id: Option<u8>,
    },
    Commit,
    /// A message counted from the last one.
    Delete {
        back: u64,
        erase: bool,
    },
    Purge {
        filter: usize,
        back: Option<u64>,
        keep: Option<u64>,
    },
    Limit(Option<u64>),
    Reopen,
    Crash,
}

const SUBJECTS: [&str; 6] = ["a.b", "a.c", "a.b.c", "d", "d.b", "e"];
const FILTERS: [&str; 9] = [">", "a.b", "a.*", "*.b", "a.>", "d", "e", "none", "*"];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..SUBJECTS.len(), 0..200usize, prop::option::weighted(0.2, 0..4u8))
            .prop_map(|(subject, len, id)| Op::Append { subject, len, id }),
        4 => Just(Op::Commit),
        4 => (0..20u64, any::<bool>()).prop_map(|(back, erase)| Op::Delete { back, erase }),
        1 => (0..FILTERS.len(), prop::option::of(0..10u64), prop::option::of(0..4u64))
            .prop_map(|(filter, back, keep)| Op::Purge { filter, back, keep }),
        1 => prop::option::of(1..20u64).prop_map(Op::Limit),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    seq: u64,
    subject: &'static str,
    body: String,
}

/// The log as a list.
#[derive(Debug, Clone, Default)]
struct Model {
    there: Vec<Message>,
    last: u64,
    committed: u64,
    ids: Vec<(u8, u64)>,
    /// Everything that was ever appended.
    all: Vec<Message>,
}

impl Model {
    fn visible(&self) -> impl Iterator<Item = &Message> + Clone {
        self.there.iter().filter(|message| message.seq <= self.committed)
    }

    fn evict(&mut self, config: &StreamConfig) {
        if let Some(most) = config.max_msgs_per_subject {
            for subject in SUBJECTS {
                while self.there.iter().filter(|one| one.subject == subject).count() as u64 > most {
                    let first = self.there.iter().position(|one| one.subject == subject).unwrap();
                    self.there.remove(first);
                }
            }
        }
        while self.there.len() as u64 > config.max_msgs.unwrap_or(u64::MAX) {
            self.there.remove(0);
        }
    }
}

struct Pair {
    dir: tempfile::TempDir,
    log: Option<StreamLog>,
    model: Model,
    config: StreamConfig,
}

impl Pair {
    fn new(config: StreamConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Some(create(dir.path(), config.clone()));
        Self { dir, log, model: Model::default(), config }
    }

    fn log(&mut self) -> &mut StreamLog {
        self.log.as_mut().unwrap()
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { subject, len, id } => self.append(SUBJECTS[*subject], *len, *id),
            Op::Commit => self.commit(),
            Op::Delete { back, erase } => self.delete(*back, *erase),
            Op::Purge { filter, back, keep } => self.purge(FILTERS[*filter], *back, *keep),
            Op::Limit(most) => {
                self.config.max_msgs = *most;
                let config = self.config.clone();
                self.log().update(config).unwrap();
                self.model.evict(&self.config);
            }
            Op::Reopen => {
                self.commit();
                self.reopen();
            }
            Op::Crash => self.crash(),
        }
    }

    fn append(&mut self, subject: &'static str, len: usize, id: Option<u8>) {
        let (seq, body) = (self.model.last + 1, "x".repeat(len));
        let text = id.map(|id| id.to_string());
        let message = Append {
            subject: subject.as_bytes(),
            headers: b"h",
            body: body.as_bytes(),
            msg_id: text.as_ref().map(String::as_bytes),
            ..Append::default()
        };
        let appended = self.log().append(&message, UnixNanos(SECOND)).unwrap();
        let known = id.and_then(|id| self.model.ids.iter().find(|known| known.0 == id));
        if let Some((_, seq)) = known {
            assert_eq!(appended, Appended { seq: *seq, duplicate: true });
            return;
        }
        assert_eq!(appended, Appended { seq, duplicate: false });
        self.model.last = seq;
        self.model.ids.extend(id.map(|id| (id, seq)));
        let message = Message { seq, subject, body };
        self.model.all.push(message.clone());
        self.model.there.push(message);
        self.model.evict(&self.config);
    }

    fn commit(&mut self) {
        self.model.committed = self.model.last;
        let last = self.model.last;
        assert_eq!(self.log().commit().unwrap(), last);
    }

    fn delete(&mut self, back: u64, erase: bool) {
        let seq = self.model.last.saturating_sub(back);
        let there = self.model.visible().any(|message| message.seq == seq);
        assert_eq!(self.log().delete(seq, erase).unwrap(), there);
        if there {
            self.model.there.retain(|message| message.seq != seq);
        }
    }

    fn purge(&mut self, filter: &str, back: Option<u64>, keep: Option<u64>) {
        let filter = Filter::one(filter.as_bytes());
        let before = back.map(|back| self.model.last.saturating_sub(back));
        let matching: Vec<u64> = (self.model.there.iter())
            .filter(|one| filter.matches(one.subject.as_bytes()))
            .map(|one| one.seq)
            .filter(|seq| before.is_none_or(|before| *seq < before))
            .collect();
        let gone = matching.len().saturating_sub(keep.unwrap_or(0) as usize);
        let purge = Purge { filter: Some(filter), before, keep };
        assert_eq!(self.log().purge(&purge).unwrap(), gone as u64);
        self.model.there.retain(|one| !matching[..gone].contains(&one.seq));
    }

    fn reopen(&mut self) {
        self.log = None;
        let (log, recovery) = open(self.dir.path());
        assert_eq!(recovery.torn_bytes, 0);
        assert_eq!(recovery.damage, Default::default());
        self.log = Some(log);
    }

    /// Without a commit: what was committed and not removed since is there, all else was at
    /// least appended once. The limits hold in any case.
    fn crash(&mut self) {
        let committed = self.model.committed;
        self.reopen();
        let last = self.log().committed();
        assert!(last >= committed);
        let log = self.log.as_mut().unwrap();
        let all = std::mem::take(&mut self.model.all);
        let kept = all.iter().filter(|one| log.get(one.seq).unwrap().is_some());
        let kept: Vec<Message> = kept.cloned().collect();
        if self.config.max_msgs.is_none() && self.config.max_msgs_per_subject.is_none() {
            assert!(self.model.visible().all(|one| kept.contains(one)));
        }
        self.model.ids.retain(|id| id.1 <= last);
        self.model.all = all.into_iter().filter(|one| one.seq <= last).collect();
        (self.model.there, self.model.last, self.model.committed) = (kept, last, last);
    }

    fn compare(&mut self) {
        let model = self.model.clone();
        let log = self.log();
        let state = log.state();
        assert_eq!((state.messages, state.last_seq), (model.there.len() as u64, model.last));
        let first = model.there.first().map_or(model.last + 1, |one| one.seq);
        assert_eq!(state.first_seq, first);
        for seq in 0..=model.last + 1 {
            let expected = model.visible().find(|one| one.seq == seq);
            let got = log.peek(seq).unwrap();
            let got = got.map(|got| (got.subject, got.headers, got.body));
            let wanted =
                expected.map(|one| (one.subject.as_bytes(), &b"h"[..], one.body.as_bytes()));
            assert_eq!(got, wanted, "message {seq}");
        }
        FILTERS.iter().for_each(|filter| compare_filter(log, &model, filter));
    }
}

fn compare_filter(log: &mut StreamLog, model: &Model, filter: &str) {
    let filter = Filter::one(filter.as_bytes());
    let wanted = model.visible().filter(|one| filter.matches(one.subject.as_bytes()));
    let wanted: Vec<u64> = wanted.map(|one| one.seq).collect();
    assert_eq!(log.last_matching(&filter), wanted.last().copied());
    for from in [0, model.last / 2, model.last] {
        let after = wanted.iter().copied().filter(|seq| *seq >= from);
        assert_eq!(log.count_matching(from, &filter), after.clone().count() as u64);
        assert_eq!(log.next_matching(from, &filter), after.min());
    }
    let counted: u64 = log.subjects(&filter, usize::MAX).iter().map(|(_, count)| count).sum();
    let there = model.there.iter().filter(|one| filter.matches(one.subject.as_bytes()));
    assert_eq!(counted, there.count() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..Default::default() })]

    #[test]
    fn a_log_is_a_list(
        ops in prop::collection::vec(op(), 1..120),
        per_subject in prop::option::weighted(0.3, 1..4u64),
        max_msgs in prop::option::weighted(0.3, 1..30u64),
        every in 1..20usize,
    ) {
        let config =
            StreamConfig { max_msgs_per_subject: per_subject, max_msgs, ..super::config() };
        let mut pair = Pair::new(config);
        for (n, op) in ops.iter().enumerate() {
            pair.apply(op);
            if n % every == 0 {
                pair.compare();
            }
        }
        pair.compare();
        pair.apply(&Op::Reopen);
        pair.compare();
    }
}
