//! AKS identity bindings: whether a token proxy is asked in Entra's place, and who vouches for it.
//!
//! The variables are the Azure SDKs'. An SDK has to be told to look at them; the sidecar does whenever they are set, since
//! the webhook that sets them has been told for the pod.

use std::path::{Path, PathBuf};

use azwi_conventions::env::{
    AZURE_KUBERNETES_CA_DATA, AZURE_KUBERNETES_CA_FILE, AZURE_KUBERNETES_SNI_NAME, AZURE_KUBERNETES_TOKEN_PROXY,
};
use azwi_entra::{CaBundle, ServerName, TokenProxy, TrustRoots};

use super::{Surroundings, Values, ca_bundle};

const CA_FILE_FLAG: &str = "has no effect beside AZURE_KUBERNETES_CA_FILE and AZURE_KUBERNETES_CA_DATA, whose certificate \
                            authorities are the only ones; add yours to them, or leave it out";

/// Whom to ask in Entra's place, and who may vouch for it if that is given.
#[derive(Default)]
pub(super) struct IdentityBinding {
    pub(super) token_proxy: Option<TokenProxy>,
    pub(super) roots: Option<TrustRoots>,
}

impl<S: Surroundings> Values<'_, S> {
    /// `has_ca_file` is whether `--ca-file` is given.
    pub(super) fn identity_binding(&mut self, has_ca_file: bool) -> IdentityBinding {
        if !self.is_set(AZURE_KUBERNETES_TOKEN_PROXY) {
            self.refuse_orphans();
            return IdentityBinding::default();
        }
        let proxy = self.env(AZURE_KUBERNETES_TOKEN_PROXY, |url| TokenProxy::parse(url).map_err(|e| e.to_string()));
        let name = self.env(AZURE_KUBERNETES_SNI_NAME, |name| ServerName::parse(name).map_err(|e| e.to_string()));
        let token_proxy = proxy.map(|proxy| match name {
            Some(name) => proxy.with_server_name(name),
            None => proxy,
        });
        IdentityBinding { token_proxy, roots: self.only_roots(has_ca_file) }
    }

    fn refuse_orphans(&mut self) {
        for name in [AZURE_KUBERNETES_SNI_NAME, AZURE_KUBERNETES_CA_FILE, AZURE_KUBERNETES_CA_DATA] {
            if self.is_set(name) {
                self.refuse(name, "is for a token proxy: set AZURE_KUBERNETES_TOKEN_PROXY to its URL, or unset this");
            }
        }
    }

    fn only_roots(&mut self, has_ca_file: bool) -> Option<TrustRoots> {
        let surroundings = self.surroundings;
        let file = self.env(AZURE_KUBERNETES_CA_FILE, |path| ca_file(path, surroundings));
        let data = self.env(AZURE_KUBERNETES_CA_DATA, ca_data);
        let is_given = [AZURE_KUBERNETES_CA_FILE, AZURE_KUBERNETES_CA_DATA].map(|name| self.is_set(name));
        if is_given == [true; 2] {
            self.refuse(AZURE_KUBERNETES_CA_DATA, "set this or AZURE_KUBERNETES_CA_FILE, not both");
        }
        if has_ca_file && is_given.contains(&true) {
            self.refuse("--ca-file", CA_FILE_FLAG);
        }
        file.or(data)
    }

    fn refuse(&mut self, name: &str, why: &str) {
        self.problems.push(format!("{name}: {why}"));
    }

    fn is_set(&self, name: &str) -> bool {
        self.surroundings.env(name).is_some_and(|value| !value.is_empty())
    }
}

/// Read at each exchange, but a mistake is told at once.
fn ca_file(path: &str, surroundings: &impl Surroundings) -> Result<TrustRoots, String> {
    if surroundings.is_no_file(Path::new(path)) {
        return Err(format!("{path} is no file; the certificate authorities are in one, perhaps in that directory"));
    }
    ca_bundle(path, surroundings).map(|_| TrustRoots::File(PathBuf::from(path)))
}

/// The value is long, so it is not repeated.
fn ca_data(pem: &str) -> Result<TrustRoots, String> {
    let bundle = CaBundle::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    Ok(TrustRoots::Only(bundle))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{command, config};

    const PROXY: (&str, &str) = ("AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1/x");

    /// The mistake in `env`, which must be the only one.
    fn mistake(args: &[&str], env: &'static [(&'static str, &'static str)]) -> String {
        let problems = command(args, env).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.concat()
    }

    #[test]
    fn without_its_variables_or_with_empty_ones_there_is_no_token_proxy() {
        let empty = &[("AZURE_KUBERNETES_TOKEN_PROXY", ""), ("AZURE_KUBERNETES_SNI_NAME", "")];
        assert_eq!(config(&[], empty).token_proxy, None);
        assert_eq!(config(&[], &[]).token_proxy, None);
    }

    #[test]
    fn its_url_alone_suffices() {
        let config = config(&[], &[PROXY, ("AZURE_KUBERNETES_CA_FILE", "")]);
        assert_eq!(config.token_proxy.unwrap().to_string(), "https://10.0.0.1/x");
    }

    #[test]
    fn its_other_variables_alone_are_a_mistake() {
        for env in [
            &[("AZURE_KUBERNETES_SNI_NAME", "ib.example")],
            &[("AZURE_KUBERNETES_CA_FILE", "/missing")],
            &[("AZURE_KUBERNETES_CA_DATA", "-----BEGIN CERTIFICATE-----")],
        ] {
            let mistake = mistake(&[], env);
            assert!(mistake.starts_with(env[0].0) && mistake.contains("AZURE_KUBERNETES_TOKEN_PROXY"), "{mistake}");
        }
    }

    #[test]
    fn every_mistake_names_its_variable_and_what_would_be_right() {
        let env = &[
            ("AZURE_KUBERNETES_TOKEN_PROXY", "http://10.0.0.1/"),
            ("AZURE_KUBERNETES_SNI_NAME", "https://ib.example"),
            ("AZURE_KUBERNETES_CA_FILE", "/missing"),
            ("AZURE_KUBERNETES_CA_DATA", "no PEM"),
        ];
        let problems = command(&[], env).unwrap_err();
        for (name, hint) in [
            ("AZURE_KUBERNETES_TOKEN_PROXY", "https://"),
            ("AZURE_KUBERNETES_SNI_NAME", "host name such as"),
            ("AZURE_KUBERNETES_CA_FILE", "/missing cannot be read"),
            ("AZURE_KUBERNETES_CA_DATA", "holds no PEM certificate"),
            ("AZURE_KUBERNETES_CA_DATA", "not both"),
        ] {
            let found = problems.iter().any(|problem| problem.starts_with(name) && problem.contains(hint));
            assert!(found, "{name} {hint}: {problems:?}");
        }
        assert_eq!(problems.len(), 5);
    }

    #[test]
    fn a_directory_is_no_file_with_certificate_authorities() {
        let mistake = mistake(&[], &[PROXY, ("AZURE_KUBERNETES_CA_FILE", "/directory")]);
        assert!(mistake.contains("/directory is no file"), "{mistake}");
    }
}
