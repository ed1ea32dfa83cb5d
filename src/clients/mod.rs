//! WHO ASKS, and for what: clients, the resources that tokens are for, and the one way to know a client.
//!
//! Guarantees: an [`AuthenticatedClient`] exists only after its credentials were checked; a client's scopes never
//! exceed what the resource offers; the identifier of the admin resource can't be registered by anyone.

mod administration;
mod assertion;
mod authenticate;
mod built_in;
mod claim;
mod client;
mod directory;
mod origin;
mod registration;
mod resource;
mod scope;
mod version;
mod view;

pub use administration::{
    Administration, AdministrationError, BeyondPower, Power, Request, ResourceMetadata, Rules as AdministrationRules,
};
pub use assertion::{ASSERTION_SKEW, AssertionRefusal, AssertionRules, ReplayMarks};
pub use authenticate::{AuthenticatedClient, AuthenticationError, Authenticator, Presented, Refusal};
pub use built_in::{LOGIN_CLIENT, login_client};
pub use claim::{ClaimError, PersonClaim, PersonClaims, is_attribute_name};
pub use client::{
    Client, ClientAuthentication, ClientError, ClientId, ClientKeys, GrantType, SecretMethod, SecretOrigin,
    StoredSecret,
};
pub use directory::{ClientStore, Directory, Insert, Removal, ResourceStore, StoredClient, Swap};
pub use origin::{OriginError, WebOrigin};
pub use registration::{ClientMetadata, MAX_CLIENT_KEYS};
pub use resource::{ADMIN_SCOPES, Resource, ResourceError, ResourceId};
pub use scope::{ScopeError, ScopeSet};
pub use view::{ClientView, RegisteredClient, ResourceView, SecretView};
