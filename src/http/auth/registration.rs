//! `POST /auth/register`: an account for whoever asks, where the settings let anybody.
//!
//! Guarantees: whether an e-mail address belongs to an account is not told, as none is taken here; that a username is
//! taken is told within limits alone, to whoever gave a password that could be taken.

use super::bodies::{Register, RegisteredUser};
use super::{Call, client};
use crate::http::answer::Answer;
use crate::http::error::{Denied, Problem, created};

pub(super) async fn register(call: &mut Call<'_>) -> Result<Answer, Problem> {
    if !call.auth.registration {
        return Err(Denied::RegistrationClosed.into());
    }
    let asked: Register = call.read().await?;
    let client = client::authenticate(call, asked.client_id.as_deref()).await?;
    let by = call.by_client(client.client().id.as_str());
    let address = call.counted_address();
    let registered = call.auth.accounts.register(&asked.username, asked.password.expose(), address, &by).await;
    let user = registered.map_err(Denied::Registration)?;
    let view = RegisteredUser { sub: user.id.to_string(), username: user.username.as_str().to_owned() };
    let mut answer = created(Answer::json(serde_json::to_vec(&view).unwrap_or_default()));
    answer.note.client = Some(client.client().id.as_str().to_owned());
    Ok(answer)
}
