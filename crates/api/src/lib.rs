//! REST, live streams, authentication, OpenAPI and the embedded console.
