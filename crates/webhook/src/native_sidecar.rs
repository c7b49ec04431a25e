//! When the sidecar is a native one: an init container that keeps running and does not keep a Job from ending.

use k8s_openapi::apimachinery::pkg::version::Info;

/// First version of the API server with which every kubelet that may be there has native sidecars: they are on since
/// 1.29, and a kubelet may be three minor versions older (<https://kubernetes.io/releases/version-skew-policy/>).
const FIRST: (u32, u32) = (1, 32);

/// When to make it a native one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NativeSidecar {
    /// Where the cluster is new enough.
    #[default]
    Auto,
    /// Whatever the cluster says.
    Always,
    /// A container among the app's.
    Never,
}

impl NativeSidecar {
    /// Reads the flag's value.
    pub(crate) fn parse(value: &str) -> Result<Self, String> {
        match value {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!("{value:?} is not one of auto, always, never")),
        }
    }
}

/// Whether a cluster whose API server says so has native sidecars everywhere.
pub(crate) fn are_supported(version: &Info) -> bool {
    (number(&version.major), number(&version.minor)) >= FIRST
}

/// Some clouds say `32+`.
fn number(text: &str) -> u32 {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: &str, minor: &str) -> Info {
        Info { major: major.to_owned(), minor: minor.to_owned(), ..Info::default() }
    }

    #[test]
    fn native_sidecars_are_everywhere_since_1_32() {
        assert!(!are_supported(&version("1", "31+")));
        assert!(are_supported(&version("1", "32+")) && are_supported(&version("2", "0")));
    }

    #[test]
    fn a_version_that_cannot_be_read_is_an_old_one() {
        assert!(!are_supported(&version("", "")));
    }
}
