//! A model of rotation, checked exhaustively: replicas that lag, stall, are cut off from the store and have wrong clocks;
//! operators who rotate and report a compromise; verifiers that keep the JWKS for as long as they are told.
//!
//! What decides is the real thing: [`sweep`](super::rotation::sweep), [`rotate_now`](super::rotation::rotate_now),
//! [`plan`](super::plan::plan), [`invariant`](super::rotation::invariant), and of the [`KeyRing`](super::ring::KeyRing)
//! when a replica may sign and for how long it lets its JWKS be kept. The model is the world around: a second is a
//! tick, a store is a table with a version, and these are held in every state that can be reached:
//!
//! - a token that has not expired, by a clock as wrong as is allowed, passes at every verifier that honours the cache
//!   headers, unless its key is compromised, or was promoted early because of a compromise and has not propagated;
//! - no token of a retired key is alive, and no verifier keeps a compromised key beyond the stated time;
//! - one key is active, and one published to succeed it;
//! - whatever signs is published.
//!
//! No token and no verifier is chosen: every replica that may sign does, in every state, the longest-lived token; every
//! replica that is ready answers a verifier in every state. So each state knows the worst token of each key and the
//! worst cache of each set of keys. Moments are counted from the present, and what is so long past that no rule tells
//! the difference is forgotten: the states are finitely many, and within the bounds of each world *all* of them are seen,
//! or its test fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

pub(crate) mod check;
mod real;
mod state;
mod steps;

mod faults;
mod promises;
