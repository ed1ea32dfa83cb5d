//! Scripts: each touches the keys of one hash tag, and is one round trip.
//!
//! Guarantees: the server is told the hash of a script alone, and its text when it does not know it, or any more.

use std::sync::OnceLock;

use redis::{Cmd, Script, ToRedisArgs, cmd};

/// A script of Lua.
#[derive(Debug)]
pub(super) struct Lua {
    text: &'static str,
    hash: OnceLock<String>,
}

impl Lua {
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text, hash: OnceLock::new() }
    }

    /// The call of it by its hash.
    pub(super) fn by_hash<A: ToRedisArgs>(&self, keys: &[Vec<u8>], arguments: &A) -> Cmd {
        let hash = self.hash.get_or_init(|| Script::new(self.text).get_hash().to_owned());
        call("EVALSHA", hash, keys, arguments)
    }

    /// The call of it by its text, by which the server knows its hash from then on.
    pub(super) fn by_text<A: ToRedisArgs>(&self, keys: &[Vec<u8>], arguments: &A) -> Cmd {
        call("EVAL", self.text, keys, arguments)
    }
}

fn call<A: ToRedisArgs>(name: &str, script: &str, keys: &[Vec<u8>], arguments: &A) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_slice());
    }
    command.arg(arguments);
    command
}
