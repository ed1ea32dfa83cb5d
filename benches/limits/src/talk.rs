//! What is said on one connection, over and over: always the same, or each time with what the last answer gave.

use crate::Result;

/// What stands before a refresh token in an answer.
const MEMBER: &[u8] = b"\"refresh_token\":\"";

/// A request, and what changes in it from one time to the next.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    request: Vec<u8>,
    /// Where in it the refresh token stands that the next answer replaces.
    token: Option<std::ops::Range<usize>>,
}

impl Talk {
    /// Says the same each time.
    pub(crate) const fn always(request: Vec<u8>) -> Self {
        Self { request, token: None }
    }

    /// Presents `token`, which stands in `request`, and then whatever refresh token the answer gives.
    pub(crate) fn following(request: Vec<u8>, token: &str) -> Result<Self> {
        let at = find(&request, token.as_bytes()).ok_or("the request has no such refresh token")?;
        Ok(Self { request, token: Some(at..at + token.len()) })
    }

    /// What is said next.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Whether each answer changes what is said next: then nobody else may say it meanwhile.
    pub(crate) const fn follows(&self) -> bool {
        self.token.is_some()
    }

    /// Takes the successor from the body of an answer.
    ///
    /// # Errors
    /// When there is none though there must be: then nothing was rotated, and something else would be measured.
    pub(crate) fn hear(&mut self, body: &[u8]) -> Result<()> {
        let Some(token) = self.token.clone() else { return Ok(()) };
        // It stands near the end.
        let at = body.windows(MEMBER.len()).rposition(|window| window == MEMBER);
        let successor = at.and_then(|at| body.get(at + MEMBER.len()..)?.get(..token.len()));
        let successor = successor.ok_or("the answer has no refresh token: nothing was rotated")?;
        self.request[token].copy_from_slice(successor);
        Ok(())
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_an_answer_takes_the_place_of_the_one_before() {
        let mut talk = Talk::following(b"a=1&refresh_token=srt_1&b=2".to_vec(), "srt_1").unwrap();
        talk.hear(br#"{"access_token":"x","refresh_token":"srt_2","scope":""}"#).unwrap();
        assert_eq!(talk.request(), b"a=1&refresh_token=srt_2&b=2");
    }

    #[test]
    fn an_answer_without_a_successor_is_refused_where_one_is_followed() {
        let mut talk = Talk::following(b"srt_1".to_vec(), "srt_1").unwrap();
        assert!(talk.hear(br#"{"access_token":"x"}"#).is_err());
        assert!(talk.hear(br#"{"refresh_token":"srt"#).is_err());
        assert!(Talk::always(b"srt_1".to_vec()).hear(b"{}").is_ok());
        assert!(Talk::following(b"srt_1".to_vec(), "srt_9").is_err());
    }
}
