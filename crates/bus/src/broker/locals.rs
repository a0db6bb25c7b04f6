//! In-process clients: the half that the I/O thread holds.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::{
    batch::{Batch, ENTRY, Message},
    local::{LocalOptions, LocalSink},
    stats::{LocalStats, Traffic},
};
use crate::matcher::RouteId;

/// An in-process client.
pub(super) struct Local {
    pub(super) id: u64,
    pub(super) echo: bool,
    pub(super) answers: bool,
    pub(super) sids: HashMap<u64, RouteId, foldhash::fast::RandomState>,
    pub(super) traffic: Traffic,
    /// It has messages that were not handed over.
    pub(super) dirty: bool,
    name: String,
    sink: Box<dyn LocalSink>,
    batch: Batch,
    /// Bytes of `batch`, and those that were handed over and not dropped yet.
    waiting: usize,
    outstanding: Arc<AtomicUsize>,
    max_pending: usize,
    dropped: u64,
}

impl Local {
    pub(super) fn new(
        id: u64,
        options: LocalOptions,
        sink: Box<dyn LocalSink>,
        max_pending: usize,
    ) -> Self {
        Self {
            id,
            echo: options.echo,
            answers: options.answers,
            sids: HashMap::default(),
            traffic: Traffic::default(),
            dirty: false,
            name: options.name,
            sink,
            batch: Batch::default(),
            waiting: 0,
            outstanding: Arc::default(),
            max_pending: options.max_pending.unwrap_or(max_pending),
            dropped: 0,
        }
    }

    /// Adds a message to what it gets at the end of the tick; false, and counted, where too much
    /// waits for it already.
    pub(super) fn take(&mut self, message: &Message<'_>, shared: Option<&Bytes>) -> bool {
        let size = message.headers.len() + message.body.len();
        let whole = size + message.subject.len() + message.reply.map_or(0, <[u8]>::len) + ENTRY;
        if self.pending() + whole > self.max_pending {
            self.dropped += 1;
            return false;
        }
        self.waiting += whole;
        self.traffic.out_msgs += 1;
        self.traffic.out_bytes += size as u64;
        self.batch.push(message, shared);
        true
    }

    /// Hands over what it got in this tick.
    pub(super) fn hand_over(&mut self) {
        self.dirty = false;
        self.waiting = 0;
        if self.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.lend(&self.outstanding);
        self.sink.deliver(batch);
    }

    pub(super) fn undeliverable(&mut self, reply: &[u8]) {
        self.sink.undeliverable(reply);
    }

    pub(super) fn stats(&self) -> LocalStats {
        LocalStats {
            id: self.id,
            name: self.name.clone(),
            subscriptions: self.sids.len(),
            traffic: self.traffic,
            pending_bytes: self.pending(),
            dropped: self.dropped,
        }
    }

    fn pending(&self) -> usize {
        self.waiting + self.outstanding.load(Ordering::Relaxed)
    }
}
