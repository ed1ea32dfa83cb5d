//! The integration tests: the whole program, over real stores.
