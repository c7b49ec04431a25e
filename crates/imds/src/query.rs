//! `application/x-www-form-urlencoded` decoding of a query, strictly: where the URL standard would
//! repair or drop a malformed parameter this refuses the request, so that nobody gets a token for
//! something other than what was asked.

use std::borrow::Cow;

use crate::Rejection;

/// The names that mean something. All others are ignored, however often they come.
const NAMES: [&str; 8] =
    ["resource", "api-version", "client_id", "object_id", "msi_res_id", "mi_res_id", "msi-res-id", "bypass_cache"];

/// The decoded parameters of one query, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'q>([Option<Cow<'q, str>>; NAMES.len()]);

impl<'q> Parameters<'q> {
    /// Decodes a query (without its `?`). `+` is a space, `:` and `/` may stand raw, empty
    /// parameters (`&&`) are skipped.
    pub(crate) fn decode(query: &'q str) -> Result<Self, Rejection> {
        let mut parameters = Self::default();
        let mut rest = query;
        while !rest.is_empty() {
            let (parameter, others) = cut(rest, b'&');
            rest = others;
            if parameter.is_empty() {
                continue;
            }
            let (name, value) = cut(parameter, b'=');
            let (name, value) = (component(name)?, component(value)?);
            if parameters.place(&name).is_some_and(|place| place.replace(value).is_some()) {
                return Err(Rejection::DuplicateParameter);
            }
        }
        Ok(parameters)
    }

    /// Takes the value of `name`, one of [`NAMES`]; an empty value is no value (Velero and azwi send `client_id=`).
    pub(crate) fn take(&mut self, name: &str) -> Option<Cow<'q, str>> {
        self.place(name)?.take().filter(|value| !value.is_empty())
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Cow<'q, str>>> {
        let place = NAMES.iter().position(|known| *known == name)?;
        self.0.get_mut(place)
    }
}

/// What stands before and after the first `separator`, an ASCII character. Quicker than searching for a `char`, where most
/// texts are shorter than a word.
fn cut(text: &str, separator: u8) -> (&str, &str) {
    let at = text.bytes().position(|byte| byte == separator).unwrap_or(text.len());
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    (before, after.get(1..).unwrap_or_default())
}

fn component(raw: &str) -> Result<Cow<'_, str>, Rejection> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
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
        Parameters::decode(query).unwrap().take(name).map(Cow::into_owned)
    }

    fn resource(query: &str) -> Option<String> {
        value_of(query, "resource")
    }

    fn rejection_of(query: &str) -> Rejection {
        Parameters::decode(query).unwrap_err()
    }

    #[test]
    fn names_and_values_are_form_decoded() {
        assert_eq!(resource("re%73ource=a%2Fb%2fc+d").as_deref(), Some("a/b/c d"));
        assert_eq!(resource("resource=%C3%A9").as_deref(), Some("é"));
        assert_eq!(resource("resource=%2541").as_deref(), Some("%41"));
    }

    #[test]
    fn raw_urls_are_values() {
        let url = "https://vault.azure.net/?x=1";
        assert_eq!(resource(&format!("resource={url}")).as_deref(), Some(url));
    }

    #[test]
    fn empty_values_and_bare_names_are_absent() {
        assert_eq!(resource("resource=&client_id"), None);
        assert_eq!(value_of("resource=&client_id", "client_id"), None);
        assert_eq!(resource(""), None);
    }

    #[test]
    fn empty_parameters_are_skipped() {
        assert_eq!(resource("&&resource=1&&").as_deref(), Some("1"));
    }

    #[test]
    fn every_name_has_a_value_of_its_own() {
        for name in NAMES {
            let query: Vec<String> = NAMES.iter().map(|name| format!("{name}=of-{name}")).collect();
            assert_eq!(value_of(&query.join("&"), name), Some(format!("of-{name}")));
        }
    }

    #[test]
    fn a_name_given_twice_is_refused_however_it_is_spelled() {
        for query in
            ["resource=1&resource=1", "resource=1&x=2&%72esource=3", "client_id=&client_id=1", "resource&resource"]
        {
            assert_eq!(rejection_of(query), Rejection::DuplicateParameter, "{query}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_different_names() {
        assert_eq!(resource("resource=1&Resource=2").as_deref(), Some("1"));
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
