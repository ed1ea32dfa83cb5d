//! Changes of an account: each is made to the newest version, whatever others do meanwhile.

use clap::Args;
use serde_json::{Value, json};

use super::create::attribute;
use super::{Accounts, Context, Failure, called, find, input, plain};
use crate::cli::output::fields;
use crate::ports::StoreError;
use crate::users::{UserId, UserMetadata, UserView};

/// What is to be other than it is. All else stays.
#[derive(Args, Default)]
#[group(id = "fields", multiple = true, conflicts_with = "metadata")]
pub(in crate::cli) struct Fields {
    /// Another username.
    #[arg(long)]
    username: Option<String>,
    /// Another e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// No e-mail address.
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// One more role; may be repeated.
    #[arg(long = "add-role", value_name = "ROLE")]
    add_roles: Vec<String>,
    /// A role less; may be repeated.
    #[arg(long = "remove-role", value_name = "ROLE")]
    remove_roles: Vec<String>,
    /// An attribute with its new value: a name, =, and JSON; may be repeated.
    #[arg(long = "set-attribute", value_name = "NAME=JSON", value_parser = attribute)]
    set_attributes: Vec<(String, Value)>,
    /// An attribute less; may be repeated.
    #[arg(long = "unset-attribute", value_name = "NAME")]
    unset_attributes: Vec<String>,
}

impl Fields {
    /// Refuses to take away what is not there: it may be a slip, and what was meant would stay.
    fn check(&self, seen: &UserView) -> Result<(), Failure> {
        let UserMetadata { roles, attributes, .. } = &seen.metadata;
        missing(seen, "role", &self.remove_roles, &roles.iter().map(String::as_str).collect::<Vec<_>>())?;
        missing(seen, "attribute", &self.unset_attributes, &attributes.keys().map(String::as_str).collect::<Vec<_>>())
    }

    fn apply(&self, metadata: &mut UserMetadata) {
        if let Some(username) = &self.username {
            metadata.username.clone_from(username);
        }
        if self.no_email || self.email.is_some() {
            metadata.email.clone_from(&self.email);
        }
        metadata.roles.retain(|role| !self.remove_roles.contains(role));
        for role in &self.add_roles {
            if !metadata.roles.contains(role) {
                metadata.roles.push(role.clone());
            }
        }
        metadata.attributes.retain(|name, _| !self.unset_attributes.contains(name));
        metadata.attributes.extend(self.set_attributes.iter().cloned());
    }
}

/// Refuses where one of `taken` is none of those that are `there`.
fn missing(seen: &UserView, kind: &str, taken: &[String], there: &[&str]) -> Result<(), Failure> {
    let Some(unknown) = taken.iter().find(|name| !there.contains(&name.as_str())) else { return Ok(()) };
    let listed: Vec<_> = there.iter().map(|name| format!("`{}`", plain(name))).collect();
    let listed = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    let (user, unknown) = (called(seen), plain(unknown));
    Err(Failure::Refused(format!("the account {user} has no {kind} `{unknown}`: what it has is {listed}")))
}

/// What an update does to what describes an account.
pub(super) enum Update {
    /// All of it is replaced.
    Replace(Box<UserMetadata>),
    /// Some of it changes.
    Edit(Box<Fields>),
}

pub(super) async fn update(
    context: &Context,
    accounts: &dyn Accounts,
    user: &str,
    update: &Update,
) -> Result<(), Failure> {
    let seen = find(accounts, user).await?;
    let outcome = match update {
        Update::Replace(whole) => accounts.change(&seen, &|metadata| metadata.clone_from(whole)).await?,
        Update::Edit(fields) => {
            fields.check(&seen)?;
            accounts.change(&seen, &|metadata| fields.apply(metadata)).await?
        }
    };
    let said = if outcome.changed { "The account is changed." } else { "The account is so already." };
    Ok(context.output.result(&outcome.now, |view| format!("{said}\n\n{}", UserView::text(view)))?)
}

pub(super) async fn enable(
    context: &Context,
    accounts: &dyn Accounts,
    user: &str,
    enabled: bool,
) -> Result<(), Failure> {
    let seen = find(accounts, user).await?;
    let outcome = accounts.set_enabled(&seen, enabled).await?;
    let result = json!({ "id": outcome.now.id, "enabled": enabled, "changed": outcome.changed });
    Ok(context.output.result(&result, |_| {
        let already = if outcome.changed { "" } else { " already" };
        let state = if enabled { "enabled" } else { "disabled" };
        format!("The account {} is {state}{already}.", called(&outcome.now))
    })?)
}

pub(super) async fn delete(context: &Context, accounts: &dyn Accounts, user: &str, yes: bool) -> Result<(), Failure> {
    let (id, called) = match (find(accounts, user).await, user.parse::<UserId>()) {
        (Ok(user), _) => (user.id.clone(), called(&user)),
        // Whatever else is known of it, it can go.
        (Err(Failure::Store(StoreError::Corrupt { .. })), Ok(id)) => {
            (id.to_string(), format!("`{id}`, whose row is damaged,"))
        }
        (Err(other), _) => return Err(other),
    };
    input::confirm(yes, &format!("Delete the account {called}?"))?;
    accounts.delete(&id).await?;
    let result = json!({ "id": id, "deleted": true });
    Ok(context.output.result(&result, |_| format!("The account {called} is deleted."))?)
}

pub(super) async fn password_link(context: &Context, accounts: &dyn Accounts, user: &str) -> Result<(), Failure> {
    let user = find(accounts, user).await?;
    let link = accounts.issue_link(&user).await?;
    context.output.result(&link, |link| {
        let rows = [
            ("account", called(&user)),
            ("link_token", link.link_token.clone()),
            ("good until", link.expires_at.clone()),
        ];
        format!("This is the only time that the token is shown:\n\n{}", fields(&rows))
    })?;
    if !user.enabled {
        context.output.note("the account is disabled: the link is good once it is enabled");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_changes_and_all_else_stays() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let metadata = UserMetadata {
            username: "ann".to_owned(),
            email: Some("ann@example.com".to_owned()),
            roles: texts(&["a", "b"]),
            attributes: [("x".to_owned(), json!(1)), ("y".to_owned(), json!(2))].into(),
        };
        let changed = |fields: Fields| {
            let mut metadata = metadata.clone();
            // Made twice, it is as if it was made once: others may come in between.
            fields.apply(&mut metadata);
            fields.apply(&mut metadata);
            metadata
        };
        assert_eq!(changed(Fields::default()), metadata);
        let fields = Fields {
            add_roles: texts(&["c", "b"]),
            remove_roles: texts(&["a"]),
            set_attributes: vec![("x".to_owned(), json!([3]))],
            unset_attributes: texts(&["y"]),
            ..Fields::default()
        };
        let (roles, attributes) = (texts(&["b", "c"]), [("x".to_owned(), json!([3]))].into());
        assert_eq!(changed(fields), UserMetadata { roles, attributes, ..metadata.clone() });
        let fields = Fields { username: Some("anna".to_owned()), no_email: true, ..Fields::default() };
        assert_eq!(changed(fields), UserMetadata { username: "anna".to_owned(), email: None, ..metadata.clone() });
        let email = Some("a@example.org".to_owned());
        let fields = Fields { email: email.clone(), ..Fields::default() };
        assert_eq!(changed(fields), UserMetadata { email, ..metadata.clone() });
    }
}
