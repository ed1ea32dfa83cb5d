//! What a token tells of a person, as far as its resource asks for it.
//!
//! Guarantees: nothing is told that was not asked for; a claim that somebody has nothing for is left out, but for `roles`,
//! which then is an empty array; no attribute becomes a claim of its own, so none passes for one that verifiers go by.

use super::json;
use crate::clients::{PersonClaim, PersonClaims};
use crate::users::Profile;

/// Appends the claims that are asked for of the person.
pub(super) fn claims(asked: &PersonClaims, of: &Profile, out: &mut Vec<u8>) {
    for claim in asked.iter() {
        match claim {
            PersonClaim::Roles => {
                json::name(out, "roles");
                out.push(b'[');
                for (place, role) in of.roles.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    json::text(out, role);
                }
                out.push(b']');
            }
            PersonClaim::Username => {
                json::name(out, "preferred_username");
                json::text(out, &of.username);
            }
            PersonClaim::Email => {
                if let Some(email) = &of.email {
                    json::name(out, "email");
                    json::text(out, email);
                }
            }
            // Together, below.
            PersonClaim::Attribute(_) => {}
        }
    }
    let mut attributes = asked.attributes().filter_map(|name| Some((name, of.attributes.get(name)?))).peekable();
    if attributes.peek().is_none() {
        return;
    }
    json::name(out, "attributes");
    out.push(b'{');
    for (name, value) in attributes {
        // A name is of characters that need no escaping, as those of claims are.
        json::name(out, name);
        // Its text is what `serde_json` would write.
        out.extend_from_slice(value.to_string().as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::ports::Timestamp;
    use crate::users::{User, UserMetadata, Username};

    fn profile(described: Value) -> Profile {
        let metadata: UserMetadata = serde_json::from_value(described).unwrap();
        let mut user = User::new(Username::parse("x").unwrap(), None, Timestamp::from_secs(1));
        metadata.apply(&mut user).unwrap();
        Profile::of(&user)
    }

    fn told(asked: &[&str], of: &Profile) -> Value {
        let mut out = br#"{"sub":"x""#.to_vec();
        claims(&PersonClaims::of(asked.iter().copied()).unwrap(), of, &mut out);
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_token_tells_what_is_asked_for_and_nothing_else() {
        let ann = profile(json!({
            "username": "Zoë", "email": "zoe@example.com", "roles": ["billing", "a/b"],
            "attributes": {"department": "books", "levels": [1, {"x": "\"\n"}], "iss-like": true, "kept": "here"},
        }));
        assert_eq!(told(&[], &ann), json!({"sub": "x"}));
        assert_eq!(told(&["roles"], &ann), json!({"sub": "x", "roles": ["a/b", "billing"]}));
        assert_eq!(told(&["username"], &ann), json!({"sub": "x", "preferred_username": "Zoë"}));
        let all = ["attributes.levels", "attributes.department", "attributes.none", "email", "roles", "username"];
        let expected = json!({
            "sub": "x", "roles": ["a/b", "billing"], "preferred_username": "Zoë", "email": "zoe@example.com",
            "attributes": {"department": "books", "levels": [1, {"x": "\"\n"}]},
        });
        assert_eq!(told(&all, &ann), expected);
    }

    #[test]
    fn what_somebody_has_not_is_left_out_but_for_roles() {
        let bob = profile(json!({"username": "bob"}));
        let asked = ["email", "roles", "attributes.department"];
        assert_eq!(told(&asked, &bob), json!({"sub": "x", "roles": []}));
    }

    proptest! {
        #[test]
        fn any_attribute_stays_inside_and_reads_back_as_itself(
            name in "[A-Za-z0-9._:/-]{1,64}", text in any::<String>(), half in any::<i32>(), whole in any::<i64>(),
        ) {
            let value = json!([text.replace('\0', ""), f64::from(half) / 2.0, whole, {"n": null}]);
            let described = json!({"username": "bob", "attributes": {&name: value}});
            let metadata: UserMetadata = serde_json::from_value(described).unwrap();
            let mut user = User::new(Username::parse("x").unwrap(), None, Timestamp::from_secs(1));
            prop_assume!(metadata.apply(&mut user).is_ok());
            let asked = format!("attributes.{name}");
            let expected = json!({"sub": "x", "attributes": {&name: &user.attributes.as_map()[&name]}});
            prop_assert_eq!(told(&[&asked], &Profile::of(&user)), expected);
        }
    }
}
