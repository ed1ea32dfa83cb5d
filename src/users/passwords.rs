//! Choosing and checking passwords, off the threads that answer requests.

use std::sync::Arc;

use super::password::hasher::HashError;
use super::password::{
    HashPool, Hasher, NotHashed, Password, PasswordError, PasswordPolicy, PasswordRefused, StoredPassword, Verdict,
};
use super::{Email, User};

/// Why a password was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotChosen {
    /// No password can be so.
    #[error(transparent)]
    Malformed(#[from] PasswordError),
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] PasswordRefused),
    /// It is the one that is to be changed.
    #[error("this is the password that there was before")]
    Unchanged,
    /// It could not be hashed now.
    #[error(transparent)]
    NotHashed(#[from] NotHashed),
    /// It could not be hashed.
    #[error(transparent)]
    Failed(#[from] HashError),
}

/// Why a password was not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChecked {
    /// Not now.
    #[error(transparent)]
    NotHashed(#[from] NotHashed),
    /// There is no memory for it.
    #[error(transparent)]
    Failed(#[from] HashError),
}

/// The rules, the hasher and the threads that it works on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    policy: Arc<PasswordPolicy>,
    hasher: Arc<Hasher>,
    pool: Arc<HashPool>,
}

impl Passwords {
    /// Puts them together.
    pub fn new(policy: PasswordPolicy, hasher: Hasher, pool: HashPool) -> Self {
        Self { policy: Arc::new(policy), hasher: Arc::new(hasher), pool: Arc::new(pool) }
    }

    /// The rules.
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// The threads.
    pub fn pool(&self) -> &HashPool {
        &self.pool
    }

    /// What is to be kept of `password`, where the rules let `user` choose it.
    pub async fn choose(&self, password: Password, user: &User) -> Result<StoredPassword, NotChosen> {
        // What needs no thought is told without waiting.
        self.policy.check_shape(&password)?;
        let (policy, hasher) = (Arc::clone(&self.policy), Arc::clone(&self.hasher));
        let keys = std::iter::once(user.username.key()).chain(user.email.as_ref().map(Email::key));
        let names: Vec<String> = keys.map(str::to_owned).collect();
        let work = move || {
            policy.check(&password, &names)?;
            Ok(hasher.hash(&password)?)
        };
        self.pool.run(work).await?
    }

    /// Checks `password` against what is kept; against nothing, it takes as long.
    pub async fn verify(&self, password: Password, stored: Option<StoredPassword>) -> Result<Verdict, NotChecked> {
        let hasher = Arc::clone(&self.hasher);
        Ok(self.pool.run(move || hasher.verify(&password, stored.as_ref())).await??)
    }
}
