//! What an operator should hear of although the sidecar is ready all the same: it may be meant, or pass by itself.

mod audience;
mod authority;

use azwi_entra::{AuthorityHost, TokenProxy};

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
    /// Nothing is known yet of `authority`, of the token proxy in its place, or of any token for them.
    pub(crate) fn new(authority: &AuthorityHost, token_proxy: Option<&TokenProxy>) -> Self {
        Self { audience: AudienceWatch::new(authority, token_proxy), authority: AuthorityWatch::default() }
    }
}
