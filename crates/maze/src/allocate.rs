//! What is allocated when an op leaves it open: subnets and addresses, always the lowest free.
