//! Where a user-assigned managed identity lives in Azure Resource Manager.

use std::fmt;

const PROVIDER: &str = "Microsoft.ManagedIdentity";
const TYPE: &str = "userAssignedIdentities";

/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/N`, compared without
/// regard to ASCII case as Resource Manager does.
#[derive(Debug, Clone)]
pub struct ResourceId {
    whole: String,
    parts: [String; 3],
}

impl ResourceId {
    /// Reads one, also without the slash it begins with.
    ///
    /// `None` if it is none. The parts have only characters that Azure allows in them, none of which a shell minds
    /// between double quotes.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.trim_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        let [subscriptions, subscription, groups, group, providers, provider, kind, name] = segments.as_slice() else {
            return None;
        };
        let words = [
            (subscriptions, "subscriptions"),
            (groups, "resourceGroups"),
            (providers, "providers"),
            (provider, PROVIDER),
            (kind, TYPE),
        ];
        let fits = words.iter().all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))
            && is_word(subscription, "-")
            && is_word(group, "-_.()")
            && is_word(name, "-_");
        fits.then(|| Self {
            whole: format!("/{path}"),
            parts: [subscription, group, name].map(|part| (*part).to_owned()),
        })
    }

    /// The whole id, with a slash at its beginning.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// As a key for comparison.
    pub(super) fn key(&self) -> String {
        self.whole.to_ascii_lowercase()
    }

    /// Subscription, resource group and name.
    pub(super) fn parts(&self) -> [&str; 3] {
        self.parts.each_ref().map(String::as_str)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

fn is_word(part: &str, besides: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || besides.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_in_any_case_and_without_its_first_slash() {
        let id = ResourceId::parse(
            "subscriptions/S/resourcegroups/g.1/PROVIDERS/microsoft.managedidentity/UserAssignedIdentities/cart",
        )
        .unwrap();
        assert_eq!(id.parts(), ["S", "g.1", "cart"]);
        assert!(id.as_str().starts_with("/subscriptions/S/"));
    }

    #[test]
    fn nothing_else_is_one() {
        let good = "/subscriptions/S/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cart";
        assert!(ResourceId::parse(good).is_some());
        for bad in [
            "",
            "/",
            "cart",
            &good.replace("cart", ""),
            &good.replace("cart", "$(id)"),
            &good.replace("/g/", "/g\"/"),
            &format!("{good}/x"),
        ] {
            assert!(ResourceId::parse(bad).is_none(), "{bad}");
        }
    }
}
