//! Changes of an account: each is made to the newest version, whatever others do meanwhile.

use serde_json::json;

use super::{Accounts, Context, Failure, called, find, input};
use crate::cli::output::fields;
use crate::ports::StoreError;
use crate::users::{UserId, UserMetadata, UserView};

pub(super) async fn update(
    context: &Context,
    accounts: &dyn Accounts,
    user: &str,
    metadata: &UserMetadata,
) -> Result<(), Failure> {
    let seen = find(accounts, user).await?;
    let outcome = accounts.replace(&seen, metadata).await?;
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
