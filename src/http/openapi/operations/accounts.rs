//! What the endpoints of accounts and sessions do, in words.

use super::{
    CURSOR, Described, OF_A_CHANGE, OF_A_NEW_ONE, PAGE_SIZE, Parameter, REASON, SESSIONS, Success, TEXT, USERS,
    answered, gone, json_body, parameter, plain, tagged,
};
use crate::http::admin::Operation;

const JSON: &str = super::JSON;
const POWER: &str = "Nobody makes, changes or opens an account with a role of the admin API that their own token lacks \
     (403 `beyond_own_power`).";
const UUID: &str = r#"{"type":"string","format":"uuid"}"#;
const OF_USER: Parameter = parameter("user", UUID, "Only of the account of this identifier. Either this or `client`.");
const OF_CLIENT: Parameter = parameter("client", TEXT, "Only at the client of this identifier. Either this or `user`.");
/// As other new ones, and passwords are judged.
const OF_A_NEW_ACCOUNT: &[u16] = &[408, 409, 413, 415, 422];

/// The endpoint in words.
pub(super) fn described(operation: Operation) -> Described {
    match operation {
        Operation::CreateUser => Described {
            body: json_body("CreateUser", true),
            errors: OF_A_NEW_ACCOUNT,
            ..plain(
                "create_user",
                USERS,
                "Make an account",
                "Without a password its owner chooses one by a link; one that is given must be changed at the first login. \
                 Names that are taken, or look like another's, are refused (409).",
                vec![tagged(201, "It is made.", "UserView")],
            )
        },
        Operation::ImportUsers => Described {
            body: json_body("ImportUsers", true),
            errors: OF_A_NEW_ONE,
            ..plain(
                "import_users",
                USERS,
                "Take accounts over with the hashes of their passwords",
                "argon2, bcrypt, scrypt and PBKDF2; the first login replaces each by argon2id. Each row is taken or refused by \
                 itself, and answered in its place. Whoever may do this may bring identifiers along that resources know \
                 people by: give the scope to nobody who does not need it.",
                vec![answered("What became of each row.", JSON, "ImportReport")],
            )
        },
        Operation::ExportUsers => Described {
            query: &[PAGE_SIZE, CURSOR, REASON],
            ..plain(
                "export_users",
                USERS,
                "Get all accounts with the hashes of their passwords",
                "As `import_users` takes them, the oldest first. Passwords can be guessed from hashes: whoever has this scope \
                 is as strong as everybody. Each page leaves a row in the audit log.",
                vec![answered("A page of them.", JSON, "PageOfUserRecord")],
            )
        },
        Operation::ShowUser
        | Operation::ReplaceUser
        | Operation::DeleteUser
        | Operation::IssueLink
        | Operation::DisableUser
        | Operation::EnableUser => of_one(operation),
        Operation::ListSessions | Operation::EndSessions | Operation::ShowSession | Operation::EndSession => {
            of_sessions(operation)
        }
        _ => Described {
            query: USER_LIST,
            ..plain(
                "list_users",
                USERS,
                "List the accounts",
                "The oldest first. One that can't be read is named in `damaged`.",
                vec![answered("A page of them.", JSON, "PageOfUserView")],
            )
        },
    }
}

const USER_LIST: &[Parameter] = &[
    PAGE_SIZE,
    CURSOR,
    parameter("username", TEXT, "Only the account of this username, however that is spelled."),
    parameter("email", TEXT, "Only the account of this e-mail address."),
];

fn of_one(operation: Operation) -> Described {
    let change = |id, summary, description, successes: Vec<Success>| Described {
        if_match: true,
        errors: OF_A_CHANGE,
        ..plain(id, USERS, summary, description, successes)
    };
    let as_now = || vec![tagged(200, "The account as it is now.", "UserView")];
    match operation {
        Operation::ReplaceUser => Described {
            body: json_body("ReplaceUser", true),
            ..change(
                "replace_user",
                "Replace all that describes an account",
                "What is absent becomes the default; its password stays. Nothing happens where it is so already.",
                as_now(),
            )
        },
        Operation::DeleteUser => Described {
            query: &[REASON],
            ..change(
                "delete_user",
                "Remove an account",
                "Its sessions end. Its names are free again, its identifier never is.",
                vec![gone("It is gone.")],
            )
        },
        Operation::IssueLink => Described {
            body: json_body("Because", false),
            ..change(
                "issue_password_link",
                "Make a one-time link to choose a password by",
                POWER,
                vec![tagged(200, "The link's token, here and never again.", "IssuedLink")],
            )
        },
        Operation::DisableUser => Described {
            body: json_body("Because", false),
            ..change(
                "disable_user",
                "Stop an account",
                "Nobody can log in any more, and its sessions end. Nothing else happens where it is so already.",
                as_now(),
            )
        },
        Operation::EnableUser => Described {
            body: json_body("Because", false),
            ..change("enable_user", "Let the owner of a disabled account log in again", POWER, as_now())
        },
        _ => Described {
            errors: &[404],
            ..plain(
                "show_user",
                USERS,
                "Show an account",
                "Without anything of its password.",
                vec![tagged(200, "The account.", "UserView")],
            )
        },
    }
}

fn of_sessions(operation: Operation) -> Described {
    match operation {
        Operation::EndSessions => Described {
            query: &[OF_USER, OF_CLIENT, REASON],
            ..plain(
                "end_sessions",
                SESSIONS,
                "End all sessions of a person or at a client",
                "",
                vec![answered("How many have ended.", JSON, "EndedCount")],
            )
        },
        Operation::ShowSession => Described {
            errors: &[404],
            ..plain("show_session", SESSIONS, "Show a session", "", vec![answered("The session.", JSON, "LiveSession")])
        },
        Operation::EndSession => Described {
            query: &[REASON],
            errors: &[404],
            ..plain(
                "end_session",
                SESSIONS,
                "End a session",
                "It refreshes no more. Access tokens that it gave out live on at other services until they expire. One whose \
                 record can't be read ends too.",
                vec![gone("It has ended.")],
            )
        },
        _ => Described {
            query: &[PAGE_SIZE, CURSOR, OF_USER, OF_CLIENT],
            ..plain(
                "list_sessions",
                SESSIONS,
                "List the sessions of a person or at a client",
                "Those that live, by ascending name. A page may have fewer than were asked for, and the list still go on.",
                vec![answered("A page of them.", JSON, "PageOfLiveSession")],
            )
        },
    }
}
