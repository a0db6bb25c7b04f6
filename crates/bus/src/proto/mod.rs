//! The NATS client protocol: frames, headers, INFO and CONNECT. Pure.
