//! Presenting refresh tokens.

use tracing::warn;

use super::super::decide::{Decision, decide};
use super::super::mac::MacKeys;
use super::super::record::{Motion, Presenter, Session};
use super::super::store::Presented;
use super::super::token::{RefreshToken, SessionId, TokenFault};
use super::{SessionError, Sessions};
use crate::ports::StoreError;
use crate::secret::SecretText;

/// What a refresh token was answered with.
#[derive(Debug)]
pub struct Refreshed {
    /// The session, as it is now.
    pub session: Session,
    /// The refresh token to give; `None` where the presented one goes on.
    pub token: Option<SecretText>,
    /// Why so.
    pub decision: Decision,
    /// Where its tokens stood before, where it has moved.
    moved_from: Option<Motion>,
}

/// Why a refresh token is refused. For the log: callers learn `invalid_grant` and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefusal {
    /// No key of ours made it.
    #[error("{0}")]
    Token(#[from] TokenFault),
    /// The journal says that its session has ended, by its name or with its person or client.
    #[error("the session has ended")]
    Ended,
    /// The account of its person is gone or disabled.
    #[error("the account of its person is gone or disabled")]
    NoAccount,
    /// Decided on its session: absent, expired, foreign or reuse.
    #[error("decided on its session: {}", .0.name())]
    Decided(Decision),
}

/// Every way in which presenting a refresh token comes out, in short: for counting.
pub const REFRESH_OUTCOMES: [&str; 11] = {
    let [absent, expired, foreign, settling, stay, rotate, replay, adopt, reuse] = Decision::NAMES;
    [absent, expired, foreign, settling, stay, rotate, replay, adopt, reuse, "forged", "ended"]
};

/// Why a refresh token was not answered with tokens.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefreshError {
    /// It is refused.
    #[error("{0}")]
    Refused(#[from] RefreshRefusal),
    /// It can't be told now.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl Sessions {
    /// Presents a refresh token: at most one question to the session store.
    ///
    /// # Errors
    /// When the token is refused; a reused one has then ended its session. When it can't be told: the same token may
    /// then be presented again.
    pub async fn refresh(&self, text: &str, presenter: &Presenter<'_>) -> Result<Refreshed, RefreshError> {
        let keys = self.keys.current();
        let token = self.read(&keys, text)?;
        let session = token.secret.id();
        self.refuse_where(self.live.names(session), session).await?;
        let next_key = keys.active().ok_or(SessionError::NoKey)?;
        let presented = Presented { session, generation: token.generation, presenter: *presenter };
        let swapped = self.store.swap(&presented, next_key, &self.rules.refresh).await?;
        let policy = &self.rules.refresh;
        let decision = decide(swapped.before.as_ref(), token.generation, presenter, swapped.now, policy);
        if swapped.moved != decision.moves_to().is_some() {
            let why = format!("it was {} where the decision is {}", moved(swapped.moved), decision.name());
            return Err(StoreError::Corrupt { what: format!("session {session}"), why }.into());
        }
        // Once more: it may have ended meanwhile, and whose it is was not known before.
        let ended = match &swapped.before {
            Some(before) => self.has_ended(before).await?,
            None => self.live.names(session),
        };
        self.refuse_where(ended, session).await?;
        self.count(decision.name());
        let Some(before) = swapped.before else { return Err(RefreshRefusal::Decided(decision).into()) };
        let moved_from = swapped.moved.then_some(before.motion);
        let (session, token) = match decision {
            Decision::Absent | Decision::Expired | Decision::Foreign => {
                return Err(RefreshRefusal::Decided(decision).into());
            }
            Decision::Reuse => {
                self.end_reused(&before, token.generation).await?;
                return Err(RefreshRefusal::Decided(decision).into());
            }
            Decision::Settling | Decision::Stay { touch: false } => (before, None),
            Decision::Stay { touch: true } => (before.touched(swapped.now), None),
            Decision::Replay => {
                let current = token.of_generation(before.motion.generation, before.motion.mac_key);
                (before, Some(current))
            }
            Decision::Rotate { to } | Decision::Adopt { to } => {
                if matches!(decision, Decision::Adopt { .. }) {
                    warn!(sid = %before.id, "the session store lost a rotation: the token that it made is taken for current");
                }
                (before.rotated(to, next_key, swapped.now), Some(token.of_generation(to, next_key)))
            }
        };
        let token = token.map(|token| self.write(&keys, &token)).transpose()?;
        Ok(Refreshed { session, token, decision, moved_from })
    }

    /// What was answered is not given after all: the token that was presented is current again, so that whoever comes later
    /// than within the grace is not taken for a thief. Where the session store can't be told, the grace has to do.
    pub async fn take_back(&self, refreshed: &Refreshed) {
        let Some(motion) = &refreshed.moved_from else { return };
        if let Err(error) = self.store.set_back(&refreshed.session, motion).await {
            warn!(%error, sid = %refreshed.session.id, "a rotation that nobody was told of stays");
        }
    }

    /// The session of a refresh token, without presenting that: to see what it was given before it moves. `None` where
    /// it has none any more.
    ///
    /// # Errors
    /// When the token is not ours, its session has ended, or is not one that this presenter may use; when the store fails.
    pub async fn look_up(&self, text: &str, presenter: &Presenter<'_>) -> Result<Option<Session>, RefreshError> {
        let token = self.read(&self.keys.current(), text)?;
        let session = token.secret.id();
        self.refuse_where(self.live.names(session), session).await?;
        let Some(found) = self.store.load(session).await? else { return Ok(None) };
        if !presenter.may_use(&found) {
            self.count(Decision::Foreign.name());
            return Err(RefreshRefusal::Decided(Decision::Foreign).into());
        }
        self.refuse_where(self.has_ended(&found).await?, session).await?;
        Ok(Some(found))
    }

    fn read(&self, keys: &MacKeys, text: &str) -> Result<RefreshToken, RefreshRefusal> {
        RefreshToken::read(text, &self.issuer, |id| keys.find(id)).map_err(|fault| {
            self.count("forged");
            fault.into()
        })
    }

    /// Refuses a session that the journal says has ended. The session store gets to hear of it: it still had it, or is
    /// about to be asked.
    async fn refuse_where(&self, ended: bool, id: SessionId) -> Result<(), RefreshRefusal> {
        if !ended {
            return Ok(());
        }
        self.count("ended");
        self.tell(&[id]).await;
        Err(RefreshRefusal::Ended)
    }
}

const fn moved(moved: bool) -> &'static str {
    if moved { "moved" } else { "left as it was" }
}
