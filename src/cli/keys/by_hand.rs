//! `signet keys rotate|activate|retire|compromise`, on the database or through the admin API.

use serde_json::{Value, json};
use signet_verify::Algorithm;

use super::drawing;
use crate::cli::remote::{Api, Through};
use crate::cli::{Context, Failure, input, output::plain};
use crate::http::{KeyChangeView, KeyView};
use crate::keys::{KeyAct, Kid};

/// The shortest beginning of a name that is taken for the name.
const SHORTEST: usize = 6;

/// What an operator asks for. Keys are named by the beginnings of their names.
pub(super) enum Wanted {
    Rotate { algorithm: Option<Algorithm>, if_active: Option<String>, force: bool, dry_run: bool },
    Activate { kid: String, force: bool },
    Retire { kid: String, yes: bool },
    Compromise { kid: String, yes: bool },
}

impl Wanted {
    /// The key that it names.
    fn named(&self) -> Option<&str> {
        match self {
            Self::Rotate { if_active, .. } => if_active.as_deref(),
            Self::Activate { kid, .. } | Self::Retire { kid, .. } | Self::Compromise { kid, .. } => Some(kid),
        }
    }

    const fn is_dry_run(&self) -> bool {
        matches!(self, Self::Rotate { dry_run: true, .. })
    }

    /// What can't be taken back is asked about once more.
    fn confirm(&self, kid: &Kid) -> Result<(), Failure> {
        match self {
            Self::Compromise { yes, .. } => input::confirm(
                *yes,
                &format!("Take key {kid} out of the JWKS at once? Its tokens fail, and it can't be taken back."),
            ),
            Self::Retire { yes, .. } => {
                input::confirm(*yes, &format!("Take key {kid} out of use? It can't sign again."))
            }
            _ => Ok(()),
        }
    }

    fn act(&self, named: Option<Kid>, reason: &str) -> Option<KeyAct> {
        Some(match self {
            Self::Rotate { algorithm, force, .. } => {
                KeyAct::Rotate { algorithm: *algorithm, if_active: named, force: *force }
            }
            Self::Activate { force, .. } => KeyAct::Activate { kid: named?, force: *force },
            Self::Retire { .. } => KeyAct::Retire { kid: named? },
            Self::Compromise { .. } => KeyAct::Compromise { kid: named?, reason: reason.to_owned() },
        })
    }

    /// Where it is asked for in the API, and with what.
    fn request(&self, named: Option<&Kid>, reason: &str) -> (String, Value) {
        let kid = named.map(Kid::as_str).unwrap_or_default();
        let (path, mut body) = match self {
            Self::Rotate { algorithm, force, dry_run, .. } => {
                let mut body = json!({ "force": force, "dry_run": dry_run });
                if let Some(algorithm) = algorithm {
                    body["algorithm"] = algorithm.name().into();
                }
                if named.is_some() {
                    body["if_active"] = kid.into();
                }
                ("keys/rotate".to_owned(), body)
            }
            Self::Activate { force, .. } => (format!("keys/{kid}/activate"), json!({ "force": force })),
            Self::Retire { .. } => (format!("keys/{kid}/retire"), json!({})),
            Self::Compromise { .. } => (format!("keys/{kid}/compromise"), json!({})),
        };
        if !reason.is_empty() {
            body["reason"] = reason.into();
        }
        (path, body)
    }
}

pub(super) async fn run(context: &Context, through: &Through, wanted: &Wanted, reason: &str) -> Result<(), Failure> {
    // Only the beginning of a name has to be looked up.
    let whole = wanted.named().is_none_or(|name| Kid::parse(name).is_some());
    let scope = if whole { "keys:write" } else { "keys:read keys:write" };
    // Nearly every act makes a key that comes after.
    let change = match through.api(context, scope).await?.map(Api::patient) {
        Some(api) => remotely(&api, wanted, reason).await?,
        None => locally(context, wanted, reason).await?,
    };
    context.output.result(&change, drawing::change)?;
    if let (Some(until), true) = (&change.may_fail_until, change.changed) {
        context.output.note(&format!("until {} some verifiers may refuse good tokens", plain(until)));
    }
    Ok(())
}

async fn remotely(api: &Api, wanted: &Wanted, reason: &str) -> Result<KeyChangeView, Failure> {
    let named = match wanted.named() {
        None => None,
        Some(name) => Some(match Kid::parse(name) {
            Some(kid) => kid,
            None => {
                let keys: Vec<KeyView> = api.pages("keys", &[], usize::MAX).await?.items;
                find(name, keys.iter().filter_map(|key| Kid::parse(&key.kid)))?
            }
        }),
    };
    if let Some(kid) = &named {
        wanted.confirm(kid)?;
    }
    let (path, body) = wanted.request(named.as_ref(), reason);
    api.post(&path, &body).await
}

async fn locally(context: &Context, wanted: &Wanted, reason: &str) -> Result<KeyChangeView, Failure> {
    let by = context.by().because(reason);
    context
        .with_keys(async |_, opened| {
            let keeper = &opened.keeper;
            let named = match wanted.named() {
                None => None,
                Some(name) => {
                    let known = keeper.survey().await?.table.keys;
                    Some(find(name, known.into_iter().map(|key| key.kid))?)
                }
            };
            if let Some(kid) = &named {
                wanted.confirm(kid)?;
            }
            let Some(act) = wanted.act(named, reason) else {
                return Err(Failure::refused("name the key"));
            };
            if wanted.is_dry_run() {
                return Ok(KeyChangeView::foreseen(&keeper.dry_run(&act).await?));
            }
            Ok(KeyChangeView::done(&keeper.act(&act, &by).await?, keeper.policy()))
        })
        .await
}

/// The one key whose name is, or begins with, `name`.
fn find(name: &str, known: impl Iterator<Item = Kid>) -> Result<Kid, Failure> {
    if let Some(kid) = Kid::parse(name) {
        return Ok(kid);
    }
    let shown = plain(name);
    if name.chars().count() < SHORTEST {
        return Err(Failure::Refused(format!("{shown} is too short: name at least {SHORTEST} characters of the kid")));
    }
    let mut fitting = known.filter(|kid| kid.as_str().starts_with(name));
    match (fitting.next(), fitting.next()) {
        (Some(kid), None) => Ok(kid),
        (None, _) => Err(Failure::Refused(format!("no key's name begins with {shown}: see `signet keys list`"))),
        (Some(_), Some(_)) => {
            Err(Failure::Refused(format!("the names of several keys begin with {shown}: name more of it")))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kid(start: &str) -> Kid {
        Kid::parse(&format!("{start:x<43}")).unwrap()
    }

    #[test]
    fn a_key_is_found_by_the_beginning_of_its_name_when_that_names_one_alone() {
        let known = || [kid("abcdef1"), kid("abcdef2"), kid("-bcdef")].into_iter();
        assert_eq!(find("abcdef1", known()).unwrap(), kid("abcdef1"));
        assert_eq!(find("-bcdef", known()).unwrap(), kid("-bcdef"));
        assert_eq!(find(kid("other").as_str(), known()).unwrap(), kid("other"), "a whole name is taken as it is");
        for (name, part) in
            [("abcdef", "several keys"), ("abcde", "too short"), ("", "too short"), ("bcdefx", "no key's name")]
        {
            assert!(find(name, known()).unwrap_err().to_string().contains(part), "{name}");
        }
    }
}
