//! `application/x-www-form-urlencoded` decoding of a query, strictly: where the URL standard would
//! repair or drop a malformed parameter this refuses the request, so that nobody gets a token for
//! something other than what was asked.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Rejection;

/// The decoded parameters of one query, each name at most once.
#[derive(Debug)]
pub(crate) struct Parameters<'q>(BTreeMap<Cow<'q, str>, Cow<'q, str>>);

impl<'q> Parameters<'q> {
    /// Decodes a query (without its `?`). `+` is a space, `:` and `/` may stand raw, empty
    /// parameters (`&&`) are skipped.
    pub(crate) fn decode(query: &'q str) -> Result<Self, Rejection> {
        // A tree rather than a scan: ten thousand names in one query must stay cheap.
        let mut parameters = BTreeMap::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if parameters.insert(component(name)?, component(value)?).is_some() {
                return Err(Rejection::DuplicateParameter);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of `name`; an empty value is no value (Velero and azwi send `client_id=`).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value)
    }
}

fn component(raw: &str) -> Result<Cow<'_, str>, Rejection> {
    if !raw.contains(['%', '+']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => (hex_digit(bytes.next())? << 4) | hex_digit(bytes.next())?,
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Rejection::QueryNotUtf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, Rejection> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(Rejection::InvalidPercentEncoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(query: &str, name: &str) -> Option<String> {
        Parameters::decode(query).unwrap().get(name).map(str::to_owned)
    }

    fn rejection_of(query: &str) -> Rejection {
        Parameters::decode(query).unwrap_err()
    }

    #[test]
    fn names_and_values_are_form_decoded() {
        assert_eq!(value_of("re%73ource=a%2Fb%2fc+d", "resource").as_deref(), Some("a/b/c d"));
        assert_eq!(value_of("a=%C3%a9", "a").as_deref(), Some("é"));
        assert_eq!(value_of("a=%2541", "a").as_deref(), Some("%41"));
    }

    #[test]
    fn raw_urls_are_values() {
        assert_eq!(
            value_of("resource=https://vault.azure.net/?x=1", "resource").as_deref(),
            Some("https://vault.azure.net/?x=1")
        );
    }

    #[test]
    fn empty_values_and_bare_names_are_absent() {
        assert_eq!(value_of("a=&b", "a"), None);
        assert_eq!(value_of("a=&b", "b"), None);
        assert_eq!(value_of("", "a"), None);
    }

    #[test]
    fn empty_parameters_are_skipped() {
        assert_eq!(value_of("&&a=1&&", "a").as_deref(), Some("1"));
    }

    #[test]
    fn a_name_given_twice_is_refused_however_it_is_spelled() {
        for query in ["a=1&a=1", "a=1&b=2&%61=3", "a=&a=1", "a&a", "=1&=2"] {
            assert_eq!(rejection_of(query), Rejection::DuplicateParameter, "{query}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_different_names() {
        assert_eq!(value_of("a=1&A=2", "a").as_deref(), Some("1"));
    }

    #[test]
    fn malformed_escapes_are_refused() {
        for query in ["a=%", "a=%4", "a=%4g", "a=%g4", "a=%+1", "%zz=1", "a=%&b=41", "a=%e%9"] {
            assert_eq!(rejection_of(query), Rejection::InvalidPercentEncoding, "{query}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        for query in ["a=%ff", "%c3=1", "a=%ed%a0%80", "a=%c0%af"] {
            assert_eq!(rejection_of(query), Rejection::QueryNotUtf8, "{query}");
        }
    }
}
