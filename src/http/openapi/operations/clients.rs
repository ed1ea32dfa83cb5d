//! What the endpoints of clients do, in words.

use super::{
    CLIENTS, Described, JSON, LIST, OF_A_CHANGE, OF_A_NEW_ONE, REASON, answered, gone, json_body, plain, tagged,
};
use crate::http::admin::Operation;

/// The endpoint in words.
pub(super) fn described(operation: Operation) -> Described {
    let change = |id, summary, description, successes| Described {
        if_match: true,
        errors: OF_A_CHANGE,
        ..plain(id, CLIENTS, summary, description, successes)
    };
    const POWER: &str =
        "Nobody gives, takes or resets an admin scope that their own token lacks (403 `beyond_own_power`).";
    match operation {
        Operation::RegisterClient => Described {
            body: json_body("RegisterClient", true),
            errors: OF_A_NEW_ONE,
            ..plain(
                "register_client",
                CLIENTS,
                "Register a client",
                POWER,
                vec![tagged(
                    201,
                    "It is registered. Its secret, where it has one, stands here and never again.",
                    "RegisteredClient",
                )],
            )
        },
        Operation::ShowClient => Described {
            errors: &[404],
            ..plain(
                "show_client",
                CLIENTS,
                "Show a client",
                "Without its secrets.",
                vec![tagged(200, "The client.", "ClientView")],
            )
        },
        Operation::ReplaceClient => Described {
            body: json_body("ReplaceClient", true),
            ..change(
                "replace_client",
                "Replace all that describes a client",
                "What is absent becomes the default; its secrets stay. Nothing happens where it is so already. Nobody gives \
                 or takes an admin scope that their own token lacks (403 `beyond_own_power`).",
                vec![tagged(200, "The client as it is now.", "ClientView")],
            )
        },
        Operation::DeleteClient => Described {
            query: &[REASON],
            ..change("delete_client", "Remove a client with its secrets", POWER, vec![gone("It is gone.")])
        },
        Operation::RollSecret => Described {
            body: json_body("RollSecret", false),
            ..change(
                "roll_secret",
                "Give a client a new secret",
                POWER,
                vec![tagged(200, "The new secret, here and never again.", "RolledSecret")],
            )
        },
        Operation::DisableClient => Described {
            body: json_body("Because", false),
            ..change(
                "disable_client",
                "Stop a client",
                "It gets no more tokens; what it has lives on until it expires. Nothing happens where it is so already.",
                vec![tagged(200, "The client as it is now.", "ClientView")],
            )
        },
        Operation::EnableClient => Described {
            body: json_body("Because", false),
            ..change(
                "enable_client",
                "Let a disabled client work again",
                POWER,
                vec![tagged(200, "The client as it is now.", "ClientView")],
            )
        },
        _ => Described {
            query: LIST,
            ..plain(
                "list_clients",
                CLIENTS,
                "List the clients",
                "By ascending identifier. One that can't be read is named in `damaged`.",
                vec![answered("A page of them.", JSON, "PageOfClientView")],
            )
        },
    }
}
