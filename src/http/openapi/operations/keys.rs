//! What the endpoints of the signing keys do, in words.

use super::{Described, KEYS, LIST, OF_A_NEW_ONE, create, json_body, plain, show, tagged};
use crate::http::admin::Operation;

/// The endpoint in words.
pub(super) fn described(operation: Operation) -> Described {
    let act = |id, summary, description, schema, required, errors| Described {
        body: json_body(schema, required),
        errors,
        ..plain(id, KEYS, summary, description, vec![tagged(200, "What was done.", "KeyChangeView")])
    };
    let new = |id, summary, description, schema| {
        create(id, KEYS, summary, description, schema, tagged(201, "It is published.", "KeyView"))
    };
    const OF_AN_ACT: &[u16] = &[404, 408, 409, 413, 415];
    match operation {
        Operation::CreateKey => new(
            "create_key",
            "Make one more key",
            "It is published at once, and signs when its turn comes. Each request makes a key: after a lost answer, look at \
             the list before asking again. 409 `too_many_keys` when as many are published as may be by hand.",
            "CreateKey",
        ),
        Operation::ImportKey => new(
            "import_key",
            "Bring in a private key",
            "Whoever else holds a copy of it can sign tokens that every verifier takes for this issuer's. 409 \
             `too_many_keys` when as many are published as may be by hand.",
            "ImportKey",
        ),
        Operation::RotateKeys => act(
            "rotate_keys",
            "Let successors take over now",
            "All algorithms or none. With `if_active` a request that is sent again does not rotate again; `dry_run` tells \
             what would be done, and changes nothing. 409 `not_propagated` tells from when on it is possible without force, \
             409 `too_many_keys` that too many keys would be published.",
            "RotateKeys",
            false,
            OF_A_NEW_ONE,
        ),
        Operation::ActivateKey => act(
            "activate_key",
            "Let a pending key sign now",
            "Early only with `force`: `may_fail_until` then tells until when its tokens may fail. Nothing happens where it \
             is active already.",
            "ActivateKey",
            false,
            OF_AN_ACT,
        ),
        Operation::RetireKey => act(
            "retire_key",
            "Take a key out of use",
            "An active one makes room for its successor and stays published for the tokens it signed; a pending one is \
             withdrawn. Nothing happens where it is retiring or retired already.",
            "RetireKey",
            false,
            OF_AN_ACT,
        ),
        Operation::CompromiseKey => act(
            "compromise_key",
            "Take a key out of the JWKS at once",
            "Because another may hold it: its tokens fail at every verifier that fetches the keys anew. The successor of \
             an active key signs from now on, whether it has propagated or not. It can't be taken back.",
            "CompromiseKey",
            true,
            OF_AN_ACT,
        ),
        Operation::ShowKey => show(
            "show_key",
            KEYS,
            "Show a key",
            "Public facts only.",
            tagged(200, "The key, under the version of all keys.", "KeyView"),
        ),
        _ => Described {
            query: LIST,
            ..plain(
                "list_keys",
                KEYS,
                "List the keys",
                "The newest first, each with what it went through and what comes.",
                vec![tagged(200, "A page of them, under the version of all keys.", "KeyList")],
            )
        },
    }
}
