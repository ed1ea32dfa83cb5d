//! What the endpoints of clients do, in words.

use super::{CLIENTS, Described, REASON, Success, create, gone, json_body, list, show, tagged};
use crate::http::admin::Operation;

const POWER: &str = "Nobody gives, takes or resets an admin scope that their own token lacks (403 `beyond_own_power`).";

/// The endpoint in words.
pub(super) fn described(operation: Operation) -> Described {
    match operation {
        Operation::RegisterClient => create(
            "register_client",
            CLIENTS,
            "Register a client",
            POWER,
            "RegisterClient",
            tagged(
                201,
                "It is registered. Its secret, where it has one, stands here and never again.",
                "RegisteredClient",
            ),
        ),
        Operation::ShowClient => show(
            "show_client",
            CLIENTS,
            "Show a client",
            "Without its secrets.",
            tagged(200, "The client.", "ClientView"),
        ),
        Operation::ReplaceClient => Described {
            body: json_body("ReplaceClient", true),
            ..change(
                "replace_client",
                "Replace all that describes a client",
                "What is absent becomes the default; its secrets stay. Nothing happens where it is so already. Nobody gives \
                 or takes an admin scope that their own token lacks (403 `beyond_own_power`).",
                as_now(),
            )
        },
        Operation::DeleteClient => Described {
            query: &[REASON],
            ..change("delete_client", "Remove a client with its secrets", POWER, gone("It is gone."))
        },
        Operation::RollSecret => Described {
            body: json_body("RollSecret", false),
            ..change(
                "roll_secret",
                "Give a client a new secret",
                POWER,
                tagged(200, "The new secret, here and never again.", "RolledSecret"),
            )
        },
        Operation::DisableClient => Described {
            body: json_body("Because", false),
            ..change(
                "disable_client",
                "Stop a client",
                "It gets no more tokens; what it has lives on until it expires. Nothing happens where it is so already.",
                as_now(),
            )
        },
        Operation::EnableClient => Described {
            body: json_body("Because", false),
            ..change("enable_client", "Let a disabled client work again", POWER, as_now())
        },
        _ => list(
            "list_clients",
            CLIENTS,
            "List the clients",
            "By ascending identifier. One that can't be read is named in `damaged`.",
            "PageOfClientView",
        ),
    }
}

fn change(id: &'static str, summary: &'static str, description: &'static str, success: Success) -> Described {
    super::change(id, CLIENTS, summary, description, success)
}

const fn as_now() -> Success {
    tagged(200, "The client as it is now.", "ClientView")
}
