//! `signet users create`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::{Accounts, Context, Failure, MOST_METADATA, input, plain};
use crate::cli::why::How;
use crate::secret::SecretText;
use crate::users::password::PASSWORD_LIMIT;
use crate::users::{Password, UserMetadata, UserView};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// What its owner logs in with: letters, digits and `.`, `_`, `-`, at most 64.
    #[arg(long, required_unless_present = "metadata")]
    username: Option<String>,
    /// What its owner may log in with, too.
    #[arg(long)]
    email: Option<String>,
    /// A role; may be repeated. `signet:keys:read` allows that scope of the admin API, `signet:admin` all.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// What a resource may ask for as a claim: a name, =, and JSON; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=JSON", value_parser = attribute)]
    attributes: Vec<(String, Value)>,
    /// Take all of this from a JSON document instead; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "email", "roles", "attributes"])]
    metadata: Option<String>,
    /// Read a first password from this file; - for standard input. A line break at its end is not part of it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

/// Splits at the first `=`: names have none.
pub(super) fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write a name and JSON, such as 'department=\"books\"'")?;
    let value =
        serde_json::from_str(value).map_err(|error| format!("behind the = is no JSON ({error}): quote texts"))?;
    Ok((name.to_owned(), value))
}

impl Arguments {
    pub(super) fn metadata(&self) -> Result<UserMetadata, Failure> {
        if let Some(file) = &self.metadata {
            return input::json(file, MOST_METADATA);
        }
        Ok(UserMetadata {
            username: self.username.clone().unwrap_or_default(),
            email: self.email.clone(),
            roles: self.roles.clone(),
            attributes: self.attributes.iter().cloned().collect::<BTreeMap<_, _>>(),
        })
    }

    pub(super) fn password(&self) -> Result<Option<Password>, Failure> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = SecretText::new(input::text(file, 4 * PASSWORD_LIMIT)?);
        let typed = text.expose();
        let typed = typed.strip_suffix('\n').map_or(typed, |line| line.strip_suffix('\r').unwrap_or(line));
        Password::parse(typed).map(Some).map_err(Failure::refused)
    }
}

pub(super) async fn run(
    context: &Context,
    accounts: &dyn Accounts,
    metadata: &UserMetadata,
    password: Option<Password>,
) -> Result<(), Failure> {
    let has_password = password.is_some();
    let user = accounts.create(metadata, password).await?;
    let output = &context.output;
    output.result(&user, |view| format!("The account is made.\n\n{}", UserView::text(view)))?;
    if !has_password {
        let name = plain(&user.metadata.username);
        output.note(&format!("it has no password yet: `signet users password-link {name}` makes a link to choose one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_is_a_name_and_json() {
        assert_eq!(attribute("a=\"b=c\""), Ok(("a".to_owned(), json!("b=c"))));
        assert_eq!(attribute("a=[1]"), Ok(("a".to_owned(), json!([1]))));
        for wrong in ["a", "a=b", "a="] {
            assert!(attribute(wrong).is_err(), "{wrong}");
        }
    }
}
