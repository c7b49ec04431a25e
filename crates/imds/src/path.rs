//! Which endpoint a path names, and which spellings are too ambiguous to answer.
//!
//! Nothing is decoded or rewritten. IMDS normalises backslashes, escapes and dot segments by rules
//! of its own, so a path that needs any of them could mean the token endpoint there and something
//! else here; it is refused outright.

use crate::Rejection;

/// What a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    Token,
    IdentityInfo,
    /// Another category of the metadata service, with what comes behind `/metadata/`.
    Category(&'a str),
}

/// The categories beside `identity` (Microsoft Learn, "Azure Instance Metadata Service").
const CATEGORIES: [&str; 5] = ["instance", "versions", "attested", "loadbalancer", "scheduledevents"];

const TOKEN: &str = "/metadata/identity/oauth2/token";

/// Names the endpoint of a request path (without its query).
///
/// Leading slashes collapse (msal4j sends `//metadata/…`), `metadata` is compared without regard
/// to ASCII case and one trailing slash is accepted, as AAD Pod Identity's NMI found IMDS to do
/// (`pkg/nmi/server/server.go` and its tests). The rest is case-sensitive.
pub(crate) fn classify(path: &str) -> Result<Endpoint<'_>, Rejection> {
    // As nearly all apps spell it; what follows finds the same, more slowly.
    if path == TOKEN {
        return Ok(Endpoint::Token);
    }
    let start = path.trim_start_matches('/');
    let segments = start.strip_suffix('/').unwrap_or(start);
    if is_hostile(segments) {
        return Err(Rejection::HostilePath);
    }
    match segments.split_once('/') {
        Some((root, rest)) if path.starts_with('/') && root.eq_ignore_ascii_case("metadata") => below_metadata(rest),
        _ => Err(Rejection::NotFound),
    }
}

fn below_metadata(rest: &str) -> Result<Endpoint<'_>, Rejection> {
    match rest {
        "identity/oauth2/token" => Ok(Endpoint::Token),
        "identity/info" => Ok(Endpoint::IdentityInfo),
        "identity/getplatformmetadata" | "identity/issuecredential" => Err(Rejection::ImdsV2),
        _ if rest.split('/').next().is_some_and(|first| CATEGORIES.contains(&first)) => Ok(Endpoint::Category(rest)),
        _ => Err(Rejection::NotFound),
    }
}

fn is_hostile(segments: &str) -> bool {
    let ambiguous = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'%' | b'\\' | b';' | b'?' | b'#');
    let odd_segment = |segment: &str| matches!(segment, "" | "." | "..");
    !segments.is_empty() && (segments.bytes().any(ambiguous) || segments.split('/').any(odd_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_endpoint_has_these_spellings() {
        for path in [
            "/metadata/identity/oauth2/token",
            "/metadata/identity/oauth2/token/",
            "//metadata/identity/oauth2/token",
            "///Metadata/identity/oauth2/token/",
            "/METADATA/identity/oauth2/token",
        ] {
            assert_eq!(classify(path), Ok(Endpoint::Token), "{path}");
        }
    }

    #[test]
    fn identity_info_is_an_endpoint() {
        for path in ["/metadata/identity/info", "//MetaData/identity/info/"] {
            assert_eq!(classify(path), Ok(Endpoint::IdentityInfo), "{path}");
        }
    }

    #[test]
    fn hostile_spellings_are_refused() {
        for path in [
            r"/metadata/identity\oauth2\token",
            r"/metadata\identity/oauth2/token",
            r"\metadata/identity/oauth2/token",
            r"/\metadata/identity/oauth2/token",
            "/metadata/identity%2Foauth2%2Ftoken",
            "/metadata/identity%5coauth2%5ctoken",
            "/%6detadata/identity/oauth2/token",
            "/metadata/identity/oauth2/token%00",
            "/metadata/identity/oauth2/token%",
            "/metadata/identity/oauth2/token;x=1",
            "/metadata;/identity/oauth2/token",
            "/metadata//identity/oauth2/token",
            "/metadata/identity//oauth2/token",
            "/metadata/identity/oauth2/token//",
            "/metadata//",
            "/metadata/./identity/oauth2/token",
            "/metadata/identity/oauth2/./token",
            "/metadata/instance/../identity/oauth2/token",
            "/../metadata/identity/oauth2/token",
            "/metadata/identity/oauth2/token/.",
            "/metadata/identity/oauth2/token/..",
            "/.",
            "/..",
            "/metadata/identity/oauth2/token\0",
            "/metadata/identity/oauth2/to\tken",
            "/metadata/identity/oauth2/token\r\n",
            "/metadata/identity/oauth2/token\u{7f}",
            "/metadata/identity/oauth2/token ",
            "/metadata/identity/oauth2/tok\u{e9}n",
            "/metadata/identity\u{ff0f}oauth2\u{ff0f}token",
            "/elsewhere/%2e%2e/metadata",
            "/metadata/instance#/../identity/oauth2/token",
            "/metadata/instance?/../identity/oauth2/token",
        ] {
            assert_eq!(classify(path), Err(Rejection::HostilePath), "{path:?}");
        }
    }

    #[test]
    fn other_paths_do_not_exist() {
        for path in [
            "",
            "*",
            "/",
            "//",
            "metadata/identity/oauth2/token",
            "/metadata",
            "/metadata/",
            "/metadata/identity",
            "/metadata/identity/",
            "/metadata/identity/oauth2",
            "/metadata/identity/oauth2/tokenXYZ",
            "/metadata/identity/oauth2/token/x",
            "/metadata/Identity/oauth2/token",
            "/metadata/identity/OAuth2/token",
            "/metadata/identity/oauth2/Token",
            "/metadata/identity/Info",
            "/metadata.identity/oauth2/token",
            "/metadata/Instance",
            "/metadata/instances",
            "/host/token",
            "/identity/oauth2/token",
            "/x/metadata/identity/oauth2/token",
        ] {
            assert_eq!(classify(path), Err(Rejection::NotFound), "{path:?}");
        }
    }

    #[test]
    fn other_categories_are_told_with_what_is_below_them() {
        assert_eq!(classify("//Metadata/instance/compute/"), Ok(Endpoint::Category("instance/compute")));
        for category in CATEGORIES {
            assert_eq!(classify(&format!("/metadata/{category}")), Ok(Endpoint::Category(category)));
        }
    }

    #[test]
    fn imds_v2_is_told_apart_from_an_unknown_path() {
        for path in [
            "/metadata/identity/getplatformmetadata",
            "/metadata/identity/issuecredential",
            "//Metadata/identity/issuecredential/",
        ] {
            assert_eq!(classify(path), Err(Rejection::ImdsV2), "{path}");
        }
    }
}
