//! The broker's numbers, put together.

use super::{
    connection::Connection,
    io::Io,
    stats::{BrokerStats, ConnectionStats},
};

impl Io {
    pub(super) fn report(&self) -> BrokerStats {
        let router = &self.router;
        let counters = &router.counters;
        let mut clients: Vec<_> =
            router.connections.iter().map(|(_, connection)| self.row(connection)).collect();
        clients.sort_unstable_by_key(|client| client.cid);
        let mut traffic = counters.traffic;
        clients.iter().for_each(|client| traffic += client.traffic);
        BrokerStats {
            server_id: self.info.server_id.clone(),
            server_name: self.info.server_name.clone(),
            uptime: router.now.saturating_duration_since(self.since),
            connections: clients.len(),
            total_connections: counters.total_connections,
            subscriptions: router.table.len(),
            traffic,
            slow_consumers: counters.slow_consumers,
            stale_connections: counters.stale_connections,
            auth_errors: counters.auth_errors,
            protocol_errors: counters.protocol_errors,
            refused_connections: counters.refused_connections,
            dropped_local: counters.dropped_local,
            pending_bytes: router.pending,
            cached_subjects: router.table.cached(),
            clients,
            locals: router.locals.iter().map(|(_, local)| local.stats()).collect(),
        }
    }

    fn row(&self, connection: &Connection) -> ConnectionStats {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let since = |then| self.router.now.saturating_duration_since(then);
        let user = connection.user.as_ref().filter(|user| !user.name.is_empty());
        ConnectionStats {
            cid: connection.cid,
            addr: connection.address(),
            tls: connection.peer.tls,
            user: user.map(|user| user.name.as_str().into()),
            name: said(&connection.options.name),
            lang: said(&connection.options.lang),
            version: said(&connection.options.version),
            uptime: since(connection.clock.since),
            idle: since(connection.clock.last_input),
            rtt: connection.clock.rtt,
            subscriptions: connection.sids.len(),
            traffic: connection.traffic,
            pending_bytes: connection.out.pending(),
        }
    }
}
