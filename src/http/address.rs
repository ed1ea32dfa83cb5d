//! From where a request comes: the other end of the connection, or whom a trusted proxy names.
//!
//! Guarantees: what a header says is believed only as far as proxies that the settings name vouch for it. The list is read
//! from its end, where the nearest proxy writes, and the first address that is no trusted proxy's is the answer, so what a
//! stranger sent along is never reached. Where the list has something that is no address, or two headers tell different
//! stories, what the last trusted proxy stands for is not known, and its own address is taken.

use std::fmt;
use std::net::IpAddr;

use actix_web::dev::RequestHead;
use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More hops than any chain of proxies has.
const MOST_HOPS: usize = 32;

/// A network: its address, and how many of the leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or a single address. Bits behind the prefix must be zero; `None` for anything
    /// else.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            None => (text.parse::<IpAddr>().ok()?, None),
            Some((address, bits)) => (address.parse().ok()?, Some(bits)),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        let network = Self { address, bits };
        (bits <= width && prefix(address, bits) == number(address)).then_some(network)
    }

    /// Whether `address` is in it. An IPv4 address in the clothes of IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && prefix(address, self.bits) == number(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The leading bits, the others zero.
fn prefix(address: IpAddr, bits: u8) -> u128 {
    number(address) & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// The proxies whose word is taken.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Those in any of these networks; none when there are none.
    pub const fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// From where a request comes; `None` when the connection has no address.
    pub(super) fn client(&self, head: &RequestHead) -> Option<IpAddr> {
        let peer = head.peer_addr?.ip().to_canonical();
        // Nearly always: nobody else's word counts.
        if !self.trusts(peer) {
            return Some(peer);
        }
        Some(self.behind(peer, &head.headers))
    }

    /// Whom the trusted proxy `peer` speaks for.
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let (forwarded_for, forwarded) = (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED));
        let hops = match (forwarded_for, forwarded) {
            (true, false) => hops(headers, &X_FORWARDED_FOR, address),
            (false, true) => hops(headers, &FORWARDED, forwarded_address),
            // Proxies write one of them and pass the other on: whose words these are can't be told.
            (true, true) | (false, false) => return peer,
        };
        let mut nearest = peer;
        for hop in hops.into_iter().rev().take(MOST_HOPS) {
            let Some(hop) = hop else { return nearest };
            nearest = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        nearest
    }
}

/// Every element of a list header, over all of its lines, in their order.
fn hops(headers: &HeaderMap, name: &HeaderName, read: impl Fn(&str) -> Option<IpAddr>) -> Vec<Option<IpAddr>> {
    headers
        .get_all(name)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|element| std::str::from_utf8(element).ok().and_then(|element| read(element.trim_matches([' ', '\t']))))
        .collect()
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6);
    plain.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// The `for` of an element of `Forwarded` ([RFC 7239 §4](https://www.rfc-editor.org/rfc/rfc7239#section-4)), if it has one
/// and that is an address.
fn forwarded_address(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        if !name.eq_ignore_ascii_case("for") {
            continue;
        }
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        // "Each parameter MUST NOT occur more than once per field-value."
        if found.replace(value).is_some() {
            return None;
        }
    }
    address(found?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|text| Network::parse(text).unwrap()).collect())
    }

    fn seen(proxies: &TrustedProxies, peer: &str, headers: &[(&str, &str)]) -> String {
        let mut request = TestRequest::default().peer_addr(format!("{peer}:4711").parse().unwrap());
        for header in headers {
            request = request.append_header(*header);
        }
        proxies.client(request.to_http_request().head()).unwrap().to_string()
    }

    #[test]
    fn a_network_is_an_address_and_the_bits_that_count() {
        for (text, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "11.0.0.0"),
        ] {
            let network = Network::parse(text).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{text} {outside}");
        }
        for text in [
            "",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2.0/",
            "::/129",
            "host",
            "1.2.3",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_stranger_says_of_itself_is_not_heard() {
        let trusted = proxies(&["10.0.0.0/8"]);
        for headers in [
            &[("X-Forwarded-For", "1.2.3.4")][..],
            &[("Forwarded", "for=1.2.3.4")],
            &[("X-Real-IP", "1.2.3.4")],
            &[("X-Forwarded-For", "10.0.0.1")],
        ] {
            assert_eq!(seen(&trusted, "203.0.113.5", headers), "203.0.113.5");
            assert_eq!(seen(&TrustedProxies::default(), "10.0.0.1", headers), "10.0.0.1");
        }
    }

    #[test]
    fn the_nearest_that_is_no_trusted_proxy_is_the_client() {
        let trusted = proxies(&["10.0.0.0/8", "2001:db8::/32"]);
        for (headers, client) in [
            (&[("X-Forwarded-For", "203.0.113.5")][..], "203.0.113.5"),
            (&[("X-Forwarded-For", "6.6.6.6, 203.0.113.5")], "203.0.113.5"),
            (&[("X-Forwarded-For", "6.6.6.6, 203.0.113.5, 10.0.0.2")], "203.0.113.5"),
            (&[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.5 ,10.0.0.2")], "203.0.113.5"),
            (&[("X-Forwarded-For", "203.0.113.5:1234")], "203.0.113.5"),
            (&[("X-Forwarded-For", "[2001:db9::1]:1234")], "2001:db9::1"),
            (&[("X-Forwarded-For", "::ffff:203.0.113.5")], "203.0.113.5"),
            (&[("Forwarded", "for=6.6.6.6, for=203.0.113.5;proto=https;by=10.0.0.1")], "203.0.113.5"),
            (&[("Forwarded", "For=\"[2001:db9::7]:1\"")], "2001:db9::7"),
            (&[("X-Forwarded-For", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(seen(&trusted, "10.0.0.1", headers), client, "{headers:?}");
        }
    }

    #[test]
    fn where_the_list_makes_no_sense_the_last_who_did_is_taken() {
        let trusted = proxies(&["10.0.0.0/8"]);
        for headers in [
            &[("X-Forwarded-For", "203.0.113.5, unknown")][..],
            &[("X-Forwarded-For", "")],
            &[("X-Forwarded-For", "203.0.113.5,")],
            &[("X-Forwarded-For", "203.0.113.5 203.0.113.6")],
            &[("Forwarded", "for=_hidden")],
            &[("Forwarded", "for=203.0.113.5;for=203.0.113.6")],
            &[("Forwarded", "proto=https")],
            &[("Forwarded", "for=\"203.0.113.5")],
            &[("X-Forwarded-For", "203.0.113.5"), ("Forwarded", "for=203.0.113.6")],
        ] {
            assert_eq!(seen(&trusted, "10.0.0.1", headers), "10.0.0.1", "{headers:?}");
        }
        let half = [("X-Forwarded-For", "6.6.6.6, nonsense, 10.0.0.2")];
        assert_eq!(seen(&trusted, "10.0.0.1", &half), "10.0.0.2");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail(value in "[ -~]{0,60}") {
            let trusted = proxies(&["10.0.0.0/8"]);
            let _ = seen(&trusted, "10.0.0.1", &[("X-Forwarded-For", value.as_str())]);
            let _ = seen(&trusted, "10.0.0.1", &[("Forwarded", value.as_str())]);
        }
    }
}
