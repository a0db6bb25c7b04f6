//! A raw NATS client over UNIX sockets and TCP.
