//! The only SQL: the journal, topologies, the mutation queue and what was observed.
