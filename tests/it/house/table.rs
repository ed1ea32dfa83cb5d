//! The import table of the house: which rooms there are, in which order, and which foreign crate may enter which.
//!
//! To place a new room, add it to [`LEVELS`]; to give a crate a home, add it to [`HOMES`].

/// Rooms of one level, and whether they may name each other (one way: cycles are refused elsewhere).
pub(super) struct Level {
    pub(super) rooms: &'static [&'static str],
    pub(super) may_meet: bool,
}

const fn alone(rooms: &'static [&'static str]) -> Level {
    Level { rooms, may_meet: false }
}

const fn together(rooms: &'static [&'static str]) -> Level {
    Level { rooms, may_meet: true }
}

/// The top-level modules of `signet` in order: each may name what stands in a level before its own, and never what
/// stands after. The verifier, a crate of its own, stands left of them all.
pub(super) const LEVELS: &[Level] = &[
    alone(&["ports"]),
    alone(&["secret"]),
    alone(&["issuer"]),
    alone(&["audit"]),
    together(&["keys", "clients", "users"]),
    alone(&["tokens"]),
    alone(&["grants"]),
    alone(&["store", "http"]),
    alone(&["telemetry"]),
    alone(&["config"]),
    together(&["cli", "app"]),
    alone(&["main"]),
];

/// The room that stands for the whole of `verifier/`.
pub(super) const VERIFIER: &str = "verifier";

/// Foreign crates that only some rooms may name. A name ending in `*` stands for all crates that begin so.
pub(super) const HOMES: &[(&str, &[&str])] = &[
    ("actix*", &["http", "app"]),
    ("sqlx*", &["store", "app"]),
    ("redis", &["store", "app"]),
    ("clap*", &["cli", "main"]),
    ("config", &["config"]),
    ("prometheus", &["telemetry"]),
    ("prost", &["telemetry"]),
    ("reqwest", &["telemetry", "cli", "app"]),
    ("signet", &[]),
];

/// Why the room `from` may not name the room `to`, if it may not.
pub(super) fn refusal(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    let (Some(own), Some(other)) = (level_of(from), level_of(to)) else {
        let stranger = if level_of(from).is_none() { from } else { to };
        return Some(format!("`{stranger}` has no place in the table of tests/it/house/table.rs"));
    };
    match other.cmp(&own) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal if LEVELS[own].may_meet => None,
        std::cmp::Ordering::Equal => Some(format!("`{from}` and `{to}` never meet")),
        std::cmp::Ordering::Greater => {
            Some(format!("`{to}` stands right of `{from}`, and the left never names the right"))
        }
    }
}

/// Why the room `from` may not name the foreign crate `krate`, if it may not.
pub(super) fn foreign_refusal(from: &str, krate: &str) -> Option<String> {
    let (_, homes) = HOMES.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(stem) => krate == stem || krate.starts_with(&format!("{stem}_")),
        None => krate == *pattern,
    })?;
    if homes.contains(&from) {
        return None;
    }
    Some(if homes.is_empty() {
        format!("nothing may name the crate `{krate}`")
    } else {
        format!("the crate `{krate}` is named only in {}", homes.join(" and "))
    })
}

/// The place of a room in the order.
pub(super) fn level_of(room: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.rooms.contains(&room))
}
