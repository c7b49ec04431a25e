//! What an operator should hear of although the sidecar is ready all the same: it may be meant, or pass by itself.

mod audience;
mod authority;

use azwi_entra::AuthorityHost;

use self::audience::AudienceWatch;
use self::authority::AuthorityWatch;

/// Each is logged once, when it begins and when it ends.
pub(crate) struct Concerns {
    /// Whom the service account token is meant for.
    pub audience: AudienceWatch,
    /// Whether Entra answers.
    pub authority: AuthorityWatch,
}

impl Concerns {
    /// Nothing is known yet of `authority` or of any token for it.
    pub(crate) fn new(authority: &AuthorityHost) -> Self {
        Self { audience: AudienceWatch::new(authority), authority: AuthorityWatch::default() }
    }
}
