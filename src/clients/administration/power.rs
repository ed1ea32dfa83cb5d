//! How far a caller's power reaches.
//!
//! Guarantees: pure; a caller can neither give a client an admin scope beyond their own, nor touch a client that has one
//! (whoever changes its keys or secret could act as it), nor widen what their own client may get.

use uuid::Uuid;

use crate::clients::{ADMIN_SCOPES, Client, ClientId, ResourceId, ScopeSet};

/// What a caller may give and take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// Everything: whoever works on the stores themselves.
    Everything,
    /// What a token of the admin API gives.
    Of {
        /// The client that the token was issued to.
        client: ClientId,
        /// The token's scopes, as far as the client may have them now and, of a person's token, the person's roles allow
        /// them now.
        scopes: ScopeSet,
        /// Whose token it is, where it is a person's: the identifier of their account.
        person: Option<Uuid>,
    },
}

/// Why a caller may not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeyondPower {
    /// The client has, or would have, an admin scope that the caller's token lacks.
    #[error("the client has, or would have, the admin scope `{0}`, which your token lacks")]
    Scope(String),
    /// The client serves, or would serve, the admin resource.
    #[error("a client that serves the admin resource can be changed only with every admin scope")]
    ServesAdmin,
    /// Nobody gives themselves more.
    #[error("nobody widens the access of their own client")]
    Own,
}

impl Power {
    /// Whether a client may become `after` from `before`: both `None` and `None` are a client that is not there.
    ///
    /// # Errors
    /// With what lies beyond.
    pub fn over_client(&self, before: Option<&Client>, after: Option<&Client>) -> Result<(), BeyondPower> {
        let Self::Of { client: caller, scopes, .. } = self else { return Ok(()) };
        for client in [before, after].into_iter().flatten() {
            if let Some(scope) = client.access.get(&ResourceId::admin()).and_then(|had| had.first_outside(scopes)) {
                return Err(BeyondPower::Scope(scope.to_owned()));
            }
            let serves_admin = client.serves.contains(&ResourceId::admin());
            if serves_admin && !ADMIN_SCOPES.split(' ').all(|scope| scopes.contains(scope)) {
                return Err(BeyondPower::ServesAdmin);
            }
        }
        match (before, after) {
            (Some(before), Some(after)) if after.id == *caller && is_wider(before, after) => Err(BeyondPower::Own),
            _ => Ok(()),
        }
    }
}

/// Whether `after` may get anything that `before` may not.
fn is_wider(before: &Client, after: &Client) -> bool {
    let more_access = after.access.iter().any(|(resource, scopes)| match before.access.get(resource) {
        Some(had) => scopes.first_outside(had).is_some(),
        None => true,
    });
    let more_pages = !after.web_origins.is_subset(&before.web_origins) || (after.first_party && !before.first_party);
    more_access || more_pages || !after.serves.is_subset(&before.serves) || !after.grants.is_subset(&before.grants)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clients::ClientMetadata;
    use crate::issuer::Issuer;
    use crate::ports::Timestamp;

    fn client(id: &str, metadata: Value) -> Client {
        let metadata: ClientMetadata = serde_json::from_value(metadata).unwrap();
        let issuer = Issuer::parse("https://as.example", false).unwrap();
        metadata.register(ClientId::parse(id).unwrap(), &issuer, Timestamp::from_secs(1)).unwrap()
    }

    fn of(scopes: &str) -> Power {
        Power::Of { client: ClientId::parse("me").unwrap(), scopes: ScopeSet::parse(scopes).unwrap(), person: None }
    }

    fn admin(id: &str, scopes: &str) -> Client {
        client(id, json!({"access": {"https://as.example/admin": scopes}}))
    }

    #[test]
    fn a_client_with_a_scope_that_the_caller_lacks_is_out_of_reach_before_and_after() {
        let power = of("clients:write keys:read");
        let (weak, strong) = (admin("x", "keys:read"), admin("x", "keys:read keys:import"));
        assert_eq!(power.over_client(None, Some(&weak)), Ok(()));
        let beyond = Err(BeyondPower::Scope("keys:import".to_owned()));
        assert_eq!(power.over_client(None, Some(&strong)), beyond);
        assert_eq!(power.over_client(Some(&weak), Some(&strong)), beyond);
        assert_eq!(power.over_client(Some(&strong), Some(&weak)), beyond);
        assert_eq!(power.over_client(Some(&strong), None), beyond);
        assert_eq!(Power::Everything.over_client(Some(&weak), Some(&strong)), Ok(()));
    }

    #[test]
    fn serving_the_admin_resource_takes_every_admin_scope() {
        let server = client("x", json!({"serves": ["https://as.example/admin"]}));
        assert_eq!(of("clients:write").over_client(None, Some(&server)), Err(BeyondPower::ServesAdmin));
        assert_eq!(of("clients:write").over_client(Some(&server), None), Err(BeyondPower::ServesAdmin));
        assert_eq!(of(ADMIN_SCOPES).over_client(None, Some(&server)), Ok(()));
    }

    #[test]
    fn nobody_widens_their_own_client_and_anyone_may_narrow_it() {
        let power = of("clients:write");
        let had = || json!({"access": {"https://a.example": "read", "https://b.example": ""}, "serves": ["https://a.example"]});
        let before = client("me", had());
        for (wider, after) in [
            (false, had()),
            (false, json!({"access": {"https://a.example": ""}})),
            (true, json!({"access": {"https://a.example": "read write"}})),
            (true, json!({"access": {"https://c.example": ""}})),
            (true, json!({"serves": ["https://b.example"]})),
            (true, json!({"first_party": true})),
            (true, json!({"first_party": true, "web_origins": ["https://app.example"]})),
        ] {
            let expected = if wider { Err(BeyondPower::Own) } else { Ok(()) };
            assert_eq!(power.over_client(Some(&before), Some(&client("me", after.clone()))), expected, "{after}");
            let other = client("other", after.clone());
            assert_eq!(power.over_client(Some(&client("other", had())), Some(&other)), Ok(()), "{after}");
        }
    }
}
