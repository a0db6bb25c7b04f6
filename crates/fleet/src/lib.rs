//! Drivers that make the network what the desired state says.
