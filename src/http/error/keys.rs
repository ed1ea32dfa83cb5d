//! What a caller learns of a change of the keys that was not made.

use actix_web::http::StatusCode;
use serde_json::Value;

use super::Told;
use crate::keys::{ImportRefused, KeeperError, PlanRefused, SweepRefused, TransitionRefused};

fn conflict(code: &'static str, description: &'static str) -> Told {
    Told::new(code, StatusCode::CONFLICT, description)
}

pub(super) fn no_such_key() -> Told {
    Told::new("no_such_key", StatusCode::NOT_FOUND, "there is no key of that name")
}

fn broken(error: &KeeperError) -> Told {
    Told::new("server_error", StatusCode::INTERNAL_SERVER_ERROR, "an operator has to look").because(error)
}

pub(super) fn told(error: &KeeperError) -> Told {
    match error {
        KeeperError::Store(error) => Told::store(error),
        KeeperError::Import(_) => {
            Told::new("invalid_member", StatusCode::BAD_REQUEST, "a member has a value that it can't have")
        }
        KeeperError::Plan(PlanRefused::KnownKey { .. }) => conflict("key_exists", "the key is there already"),
        KeeperError::Refused(refused) => match refused {
            SweepRefused::NotKept(_) => conflict("algorithm_not_kept", "the algorithm is none of those kept ready"),
            SweepRefused::NoSuccessor(_) => conflict("no_successor", "there is no key to take over"),
            SweepRefused::NotPropagated { .. } | SweepRefused::Transition(TransitionRefused::NotPropagated { .. }) => {
                conflict("not_propagated", "not every verifier has the key that would sign")
            }
            SweepRefused::UnknownKey(_) => no_such_key(),
            SweepRefused::ActiveKeyDiffers(_) => conflict("active_key_differs", "another key is active"),
            SweepRefused::TooManyKeys { .. } => conflict(
                "too_many_keys",
                "so many keys are published that more could not be by hand: wait until retiring keys have left, or retire \
                 pending ones",
            ),
            SweepRefused::Transition(_) => conflict("wrong_state", "the key's state does not allow this"),
            SweepRefused::ClockWentBack { .. } => Told::unavailable(error),
            SweepRefused::NothingKept | SweepRefused::Broken(_) => broken(error),
        },
        KeeperError::ClockApart { .. } | KeeperError::Contended | KeeperError::Interrupted => Told::unavailable(error),
        KeeperError::Key(_) | KeeperError::Plan(_) | KeeperError::MasterKey(_) => broken(error),
    }
}

/// What else there is to know.
pub(super) fn more(error: &KeeperError) -> Vec<(&'static str, Value)> {
    let text = |text: &dyn ToString| Value::from(text.to_string());
    match error {
        KeeperError::Import(refused) => {
            let member = if matches!(refused, ImportRefused::WrongAlgorithm { .. }) { "algorithm" } else { "pem" };
            vec![("member", member.into()), ("why", why(refused).into())]
        }
        KeeperError::Plan(PlanRefused::KnownKey { kid, state }) => vec![("kid", text(kid)), ("state", (*state).into())],
        KeeperError::Refused(refused) => match refused {
            SweepRefused::NotKept(algorithm) | SweepRefused::NoSuccessor(algorithm) => {
                vec![("algorithm", text(algorithm))]
            }
            SweepRefused::NotPropagated { algorithm, possible_from } => {
                vec![("algorithm", text(algorithm)), ("possible_from", text(possible_from))]
            }
            SweepRefused::TooManyKeys { published, most } => {
                vec![("published", (*published).into()), ("most", (*most).into())]
            }
            SweepRefused::ActiveKeyDiffers(kid) => vec![("if_active", text(kid))],
            SweepRefused::Transition(refused) => match refused {
                TransitionRefused::NotPropagated { usable_from, .. } => vec![("possible_from", text(usable_from))],
                TransitionRefused::StillNeeded { until, .. } => vec![("possible_from", text(until))],
                TransitionRefused::NotFromHere { from, .. } => vec![("state", (*from).into())],
            },
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// In words without anything that was sent: what a PEM block calls itself could be part of a key that was cut badly.
fn why(refused: &ImportRefused) -> String {
    match refused {
        ImportRefused::SeveralBlocks { count, .. } => {
            format!("it holds {count} PEM blocks: leave only the one private key in it")
        }
        other => other.to_string(),
    }
}
