//! `POST /auth/register`: an account for whoever asks, where the settings let anybody.

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
    let (email, password) = (asked.email.as_deref(), asked.password.expose());
    let user = call.auth.accounts.register(&asked.username, email, password, &by).await.map_err(Denied::Account)?;
    let view = RegisteredUser { sub: user.id.to_string(), username: user.username.as_str().to_owned() };
    let mut answer = created(Answer::json(serde_json::to_vec(&view).unwrap_or_default()));
    answer.note.client = Some(client.client().id.as_str().to_owned());
    Ok(answer)
}
