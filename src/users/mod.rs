//! FOR WHOM: people's accounts, their passwords, and the one way to know a person.
//!
//! - [`name`]: what people are called, as shown and as compared
//! - [`account`]: an account
//! - [`password`]: passwords: rules, hashes, and the threads that make them
//! - [`attempts`]: how often somebody may try
//! - [`link`]: one-time links by which somebody chooses a password
//! - [`accounts`]: what people do with their own accounts
//! - [`administration`]: what others do with them
//! - [`profiles`]: what this replica knows of people, for the tokens that tell something of them
//! - [`heeded`]: accounts whose changes this replica knows of at once
//! - [`record`]: accounts on their way in and out
//!
//! Guarantees: an [`AuthenticatedUser`] exists only after a password was checked; no two accounts have names that look
//! alike; nobody learns from outside whether an account exists; nothing of a password is kept but a slow hash.

pub mod account;
pub mod accounts;
pub mod administration;
pub mod attempts;
pub mod heeded;
pub mod link;
pub mod name;
pub mod password;
mod passwords;
pub mod profiles;
pub mod record;
mod steps;
mod store;
mod view;

pub use account::{Attributes, PasswordState, Roles, User, UserError, UserId};
pub use accounts::{AccountError, AccountLimits, Accounts, AuthenticatedUser, LoginRefusal, LoginRefused, Welcome};
pub use administration::{Import, UserAdministration, UserAdministrationError};
pub use attempts::AttemptStore;
pub use heeded::Heeded;
pub use link::PasswordLink;
pub use name::{Email, LoginName, NameError, Username};
pub use password::{Password, StoredPassword, StoredPasswordError};
pub use passwords::{NotChecked, NotChosen, Passwords};
pub use profiles::{Profile, Profiles};
pub use record::{RecordError, UserRecord};
pub use store::{Redemption, Standing, Taken, UserInsert, UserStore, UserSwap};
pub use view::{PasswordView, UserMetadata, UserView};
