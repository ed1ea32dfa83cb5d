//! The OAuth endpoints.

pub(super) mod token;
