//! The query of a request to the admin API, read strictly: what a route does not know is refused, since a filter that is
//! misspelt and passed over would show, or delete, more than was meant.

use actix_web::dev::RequestHead;

use crate::grants::decode;
use crate::http::error::Problem;

/// The parameters of a query, each once.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads the parameters, of which this route knows those of `known`.
    pub(super) fn read(head: &RequestHead, known: &[&'static str]) -> Result<Self, Problem> {
        Self::parse(head.uri.query().unwrap_or_default(), known)
    }

    /// Makes sure that there are none: this route knows no parameters.
    pub(super) fn none(head: &RequestHead) -> Result<(), Problem> {
        Self::read(head, &[]).map(drop)
    }

    fn parse(text: &str, known: &[&'static str]) -> Result<Self, Problem> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| {
                let text = decode(text.as_bytes()).map_err(|_| Problem::InvalidQuery)?.into_owned();
                if text.contains(char::is_control) { Err(Problem::InvalidQuery) } else { Ok(text) }
            };
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(known) = known.iter().find(|known| **known == name) else {
                return Err(Problem::UnknownParameter(name));
            };
            if query.get(known).is_some() {
                return Err(Problem::RepeatedParameter);
            }
            query.pairs.push((known, value));
        }
        Ok(query)
    }

    /// The value of `name`, as it was sent: maybe empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name`, which `read` makes something of; `expected` says what that must be.
    pub(super) fn typed<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let invalid = Problem::InvalidParameter { name, expected };
        match self.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(invalid),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        match Query::parse(text, &["act", "page_size"]) {
            Ok(_) => "",
            Err(Problem::UnknownParameter(_)) => "unknown",
            Err(Problem::RepeatedParameter) => "repeated",
            Err(_) => "invalid",
        }
    }

    #[test]
    fn parameters_are_decoded_once_and_known_by_their_exact_names() {
        let query = Query::parse("act=a+b%2Bc%2526&&page_size=", &["act", "page_size"]).unwrap();
        assert_eq!((query.get("act"), query.get("page_size"), query.get("x")), (Some("a b+c%26"), Some(""), None));
        assert_eq!(Query::parse("%61ct=x", &["act"]).unwrap().get("act"), Some("x"));
        for (text, expected) in [
            ("", ""),
            ("&&", ""),
            ("act", ""),
            ("Act=x", "unknown"),
            ("act%20=x", "unknown"),
            ("=x", "unknown"),
            ("access_token=x", "unknown"),
            ("act=x&act=x", "repeated"),
            ("act=x&%61ct=", "repeated"),
            ("act=%", "invalid"),
            ("act=%zz", "invalid"),
            ("act=%ff", "invalid"),
            ("act=%00", "invalid"),
            ("act=%0a", "invalid"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }
}
