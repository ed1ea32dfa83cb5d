//! The client that people sign in at where a request to `/auth` names none.
//!
//! Guarantees: it is public, first-party and rotates; it may get tokens for nothing and is no page's until an operator
//! says so, so that an installation where nobody signs in is no wider for having it.

use super::{Client, ClientError, ClientId, ClientMetadata};
use crate::issuer::Issuer;
use crate::ports::Timestamp;

/// Its identifier. One that an operator registered under this name serves as well.
pub const LOGIN_CLIENT: &str = "login";

/// As the first start and `signet init` make it.
pub fn login_client(issuer: &Issuer, now: Timestamp) -> Result<Client, ClientError> {
    let metadata = ClientMetadata {
        client_name: "Sign-in of people".to_owned(),
        token_endpoint_auth_method: Some("none".to_owned()),
        first_party: true,
        ..ClientMetadata::default()
    };
    metadata.register(ClientId::parse(LOGIN_CLIENT)?, issuer, now)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clients::{ClientAuthentication, GrantType};

    #[test]
    fn it_has_no_secret_rotates_and_may_do_nothing_before_an_operator_says_what() {
        let issuer = Issuer::parse("https://as.example", false).unwrap();
        let client = login_client(&issuer, Timestamp::from_secs(1_800_000_000)).unwrap();
        assert_eq!(client.id.as_str(), LOGIN_CLIENT);
        assert_eq!(client.authentication, ClientAuthentication::Public);
        assert!(client.first_party && client.enabled && client.rotates_refresh_tokens());
        assert!(client.access.is_empty() && client.serves.is_empty() && client.web_origins.is_empty());
        assert_eq!(client.grants, [GrantType::RefreshToken].into());
    }
}
