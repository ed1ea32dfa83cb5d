//! The types of the settings for traces.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::source::Raw;
use super::value::{SettingValue, found};
use crate::telemetry::{OtlpEndpoint, SampleRatio};

impl SettingValue for Option<OtlpEndpoint> {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        match raw {
            Raw::Unset => Ok(None),
            // Not repeated: it may hold a password that does not belong there.
            Raw::Untyped(text) | Raw::Text(text) => OtlpEndpoint::parse(text).map(Some).map_err(str::to_owned),
            _ => Err(format!("must be an address, as text{}", found(raw))),
        }
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, |endpoint| json!(endpoint.as_str()))
    }
}

impl SettingValue for SampleRatio {
    fn from_raw(raw: &Raw, _: &Path) -> Result<Self, String> {
        let ratio = match raw {
            Raw::Fraction(ratio) => Some(*ratio),
            Raw::Integer(0) => Some(0.0),
            Raw::Integer(1) => Some(1.0),
            Raw::Untyped(text) => text.parse().ok(),
            Raw::Text(_) => return Err("must be a number from 0 to 1, without quotes".to_owned()),
            _ => None,
        };
        ratio.and_then(Self::new).ok_or_else(|| format!("must be a number from 0 to 1{}", found(raw)))
    }

    fn show(&self) -> Json {
        json!(self.value())
    }
}
