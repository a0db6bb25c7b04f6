//! What all streams together may take: asked when a stream is made or changed, and once a cycle.

use super::{
    super::{
        Storage, StreamConfig,
        types::{AccountLimits, OverAccount, StreamsError},
    },
    Catalogue,
};

impl Catalogue {
    pub(crate) fn account(&self) -> &AccountLimits {
        &self.limits.account
    }

    pub(crate) fn domain(&self) -> Option<&str> {
        self.limits.domain.as_deref()
    }

    /// Whether a stream may be as this says, beside all others.
    pub(super) fn check_account(&self, config: &StreamConfig) -> Result<(), StreamsError> {
        self.over_account(config).map_or(Ok(()), |what| Err(StreamsError::OverAccount(what)))
    }

    fn over_account(&self, config: &StreamConfig) -> Option<OverAccount> {
        let limits = self.account();
        let (of_stream, of_all, over) = match config.storage {
            Storage::Memory => {
                (limits.memory_max_stream_bytes, limits.max_memory, OverAccount::Memory)
            }
            Storage::File => {
                (limits.storage_max_stream_bytes, limits.max_storage, OverAccount::Storage)
            }
        };
        let Some(wanted) = config.max_bytes else {
            return limits.max_bytes_required.then_some(OverAccount::MaxBytesRequired);
        };
        if of_stream.is_some_and(|most| wanted > most) {
            return Some(OverAccount::StreamBytes);
        }
        let own = self.slot(config.name.as_str()).and_then(|slot| self.look(slot));
        let own = own.and_then(|stream| stream.log.config().max_bytes).unwrap_or(0);
        let reserved = self.reserved(config.storage).saturating_sub(own).saturating_add(wanted);
        of_all.is_some_and(|most| reserved > most).then_some(over)
    }

    /// What streams were promised by their `max_bytes`.
    pub(crate) fn reserved(&self, storage: Storage) -> u64 {
        let streams = self.slots.iter().flatten().map(|stream| stream.log.config());
        let streams = streams.filter(|config| config.storage == storage);
        streams.filter_map(|config| config.max_bytes).fold(0, u64::saturating_add)
    }

    /// Streams take no messages while all of their storage together are at its limit. Asked once
    /// a cycle: what one cycle stores may go beyond.
    pub(crate) fn watch_account(&mut self) {
        let limits = self.limits.account.clone();
        for (storage, most) in
            [(Storage::Memory, limits.max_memory), (Storage::File, limits.max_storage)]
        {
            let Some(most) = most else { continue };
            let over = self.bytes(storage) >= most;
            for stream in self.slots.iter_mut().flatten() {
                if stream.log.config().storage == storage {
                    stream.starved = over;
                }
            }
        }
    }

    pub(crate) fn bytes(&self, storage: Storage) -> u64 {
        let streams = self.slots.iter().flatten().map(|stream| &stream.log);
        let streams = streams.filter(|log| log.config().storage == storage);
        streams.map(|log| log.state().bytes).sum()
    }
}
