//! An assertion that an app registration has signed itself, by a certificate registered with it
//! (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).

use jsonwebtoken::{Algorithm, Header, Validation};
use uuid::Uuid;

use crate::config::Application;
use crate::entra::aadsts::{
    ALGORITHM_UNSUPPORTED, ASSERTION_AUDIENCE, ASSERTION_OF_ANOTHER, Aadsts, Facts, SIGNATURE_INVALID,
};
use crate::entra::assertion::Claims;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::PS256];

pub(crate) struct OwnAssertion {
    header: Header,
    claims: Claims,
}

impl OwnAssertion {
    /// `None` for one that names another issuer than the application. Nothing is verified yet.
    pub(crate) fn read(jwt: &str, application: &Application) -> Option<Self> {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(jwt).ok()?;
        let own = Uuid::try_parse(&claims.iss).ok() == Some(application.client_id);
        own.then_some(Self { header: jsonwebtoken::decode_header(jwt).ok()?, claims })
    }

    /// Everything but the times.
    pub(crate) fn check(
        self,
        jwt: &str,
        application: &Application,
        audiences: &[String],
        facts: &mut Facts,
    ) -> Result<Claims, Aadsts> {
        facts.set("issuer", &self.claims.iss);
        facts.set("subject", &self.claims.sub);
        facts.set("audience", self.claims.aud.join(","));
        facts.set("algorithm", format!("{:?}", self.header.alg));
        if !ALGORITHMS.contains(&self.header.alg) {
            return Err(ALGORITHM_UNSUPPORTED);
        }
        self.check_signature(jwt, application, facts)?;
        if Uuid::try_parse(&self.claims.sub).ok() != Some(application.client_id) {
            return Err(ASSERTION_OF_ANOTHER);
        }
        if !self.claims.aud.iter().any(|audience| audiences.contains(audience)) {
            return Err(ASSERTION_AUDIENCE);
        }
        Ok(self.claims)
    }

    fn check_signature(&self, jwt: &str, application: &Application, facts: &mut Facts) -> Result<(), Aadsts> {
        let Header { x5t, x5t_s256, .. } = &self.header;
        facts.set("kid", x5t_s256.as_ref().or(x5t.as_ref()).map_or("", String::as_str));
        let certificate = application.certificates.iter().find(|certificate| certificate.signs(&self.header));
        let key = &certificate.ok_or(SIGNATURE_INVALID)?.key;
        let mut validation = Validation::new(self.header.alg);
        // Audience and times have checks and codes of their own.
        validation.required_spec_claims.clear();
        validation.validate_aud = false;
        validation.validate_exp = false;
        jsonwebtoken::decode::<Claims>(jwt, key, &validation).map(drop).map_err(|_| SIGNATURE_INVALID)
    }
}
