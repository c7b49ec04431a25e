//! Custom token endpoints: which pods ask a token proxy in Entra's place, and who vouches for it.
//!
//! AKS calls them identity bindings. Off unless both flags are given; the variables alone do nothing, but are checked.

use azwi_conventions::{TOKEN_EXCHANGE_AUDIENCE, annotation, env};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Values, text};
use crate::mutate::{CaSource, TokenEndpoint};
use crate::{names, variables};

const SUFFIX: &str = "--custom-token-endpoint-annotation-suffix";
const AUDIENCE: &str = "--custom-token-endpoint-audience";
/// What the name of every such annotation begins with.
const NAME_PREFIX: &str = "use-";

impl<Lookup: Fn(&str) -> Option<String>> Values<Lookup> {
    pub(super) fn token_endpoint(&mut self, suffix: Option<String>, audience: Option<String>) -> Option<TokenEndpoint> {
        let ca = self.ca_source();
        let (suffix, audience) = match (suffix, audience) {
            (Some(suffix), Some(audience)) => (suffix, audience),
            (None, None) => return None,
            (Some(_), None) => return self.lacks(AUDIENCE, SUFFIX),
            (None, Some(_)) => return self.lacks(SUFFIX, AUDIENCE),
        };
        if audience.eq_ignore_ascii_case(TOKEN_EXCHANGE_AUDIENCE) {
            self.refuse(AUDIENCE, &format!("{audience:?} is for Entra itself, give the token proxy another one"));
        }
        let annotation = self.flag(SUFFIX, Some(&suffix), annotation_key);
        let token_proxy = self.env(env::AZURE_KUBERNETES_TOKEN_PROXY, text);
        if token_proxy.is_none() {
            self.lacks(env::AZURE_KUBERNETES_TOKEN_PROXY, SUFFIX);
        }
        Some(TokenEndpoint {
            annotation: annotation?,
            audience,
            token_proxy: token_proxy.unwrap_or_default(),
            sni_name: self.env(env::AZURE_KUBERNETES_SNI_NAME, text).unwrap_or_default(),
            ca,
        })
    }

    fn lacks(&mut self, missing: &str, given: &str) -> Option<TokenEndpoint> {
        self.refuse(missing, &format!("required beside {given}"));
        None
    }

    fn ca_source(&mut self) -> CaSource {
        let data = self.env(env::AZURE_KUBERNETES_CA_DATA, text).map(CaSource::Data);
        let config_map = self.env(variables::AZURE_KUBERNETES_CA_CONFIGMAP_NAME, text).map(CaSource::ConfigMap);
        let bundle = self.trust_bundle();
        let mut sources = [data, config_map, bundle].into_iter().flatten();
        let source = sources.next().unwrap_or(CaSource::None);
        if sources.next().is_some() {
            let names = [variables::AZURE_KUBERNETES_CA_CONFIGMAP_NAME, variables::AZURE_KUBERNETES_CA_CTB_SIGNER_NAME]
                .join(", ");
            self.refuse(env::AZURE_KUBERNETES_CA_DATA, &format!("set only one of this, {names}"));
        }
        source
    }

    fn trust_bundle(&mut self) -> Option<CaSource> {
        let label_selector = self.env(variables::AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR, label_selector);
        let signer = self.env(variables::AZURE_KUBERNETES_CA_CTB_SIGNER_NAME, text);
        if label_selector.is_some() && signer.is_none() {
            let why = format!("needs {}", variables::AZURE_KUBERNETES_CA_CTB_SIGNER_NAME);
            self.refuse(variables::AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR, &why);
        }
        signer.map(|signer_name| CaSource::ClusterTrustBundle { signer_name, label_selector })
    }
}

fn annotation_key(suffix: &str) -> Result<String, String> {
    let name = format!("{NAME_PREFIX}{suffix}");
    if names::is_qualified(&name) {
        Ok(format!("{}{name}", annotation::PREFIX))
    } else {
        Err(format!("{suffix:?} makes no annotation: up to 59 letters, digits, '-', '_', '.', the last no sign"))
    }
}

fn label_selector(json: &str) -> Result<String, String> {
    serde_json::from_str::<LabelSelector>(json)
        .map(|_| json.to_owned())
        .map_err(|error| format!("no label selector such as {{\"matchLabels\":{{\"a\":\"b\"}}}}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, parse};
    use super::*;

    const FLAGS: [&str; 2] = [
        "--custom-token-endpoint-annotation-suffix=binding",
        "--custom-token-endpoint-audience=api://AKSIdentityBinding",
    ];

    fn problems(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        let env: Vec<_> = env.iter().copied().chain([("AZURE_TENANT_ID", "contoso.com")]).collect();
        parse(args, &env).unwrap_err()
    }

    #[test]
    fn there_is_none_without_the_flags() {
        let env = [("AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1")];
        assert!(config(&[], &env).settings.token_endpoint.is_none());
    }

    #[test]
    fn the_flags_and_variables_make_one() {
        let env = [
            ("AZURE_KUBERNETES_TOKEN_PROXY", "https://10.0.0.1"),
            ("AZURE_KUBERNETES_SNI_NAME", "tokens.example"),
            ("AZURE_KUBERNETES_CA_CTB_SIGNER_NAME", "example.com/signer"),
            ("AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR", r#"{"matchLabels":{"a":"b"}}"#),
        ];
        let endpoint = config(&FLAGS, &env).settings.token_endpoint.unwrap();
        assert_eq!(endpoint.annotation, "azure.workload.identity/use-binding");
        assert_eq!(endpoint.audience, "api://AKSIdentityBinding");
        assert_eq!((endpoint.token_proxy.as_str(), endpoint.sni_name.as_str()), ("https://10.0.0.1", "tokens.example"));
        let CaSource::ClusterTrustBundle { signer_name, label_selector } = endpoint.ca else { panic!() };
        assert_eq!((signer_name.as_str(), label_selector.unwrap().len()), ("example.com/signer", 25));
    }

    #[test]
    fn one_flag_needs_the_other() {
        assert!(problems(&FLAGS[..1], &[])[0].starts_with("--custom-token-endpoint-audience: required"));
        assert!(problems(&FLAGS[1..], &[])[0].starts_with("--custom-token-endpoint-annotation-suffix: required"));
    }

    #[test]
    fn the_audience_is_not_entras() {
        let args = [FLAGS[0], "--custom-token-endpoint-audience=API://azureadtokenexchange"];
        assert!(problems(&args, &[])[0].contains("for Entra itself"));
    }

    #[test]
    fn the_suffix_makes_a_valid_annotation() {
        for suffix in ["a b", "x/y", "x-", &"x".repeat(60)] {
            let flag = format!("--custom-token-endpoint-annotation-suffix={suffix}");
            assert!(problems(&[&flag, FLAGS[1]], &[])[0].contains("makes no annotation"), "{suffix}");
        }
    }

    #[test]
    fn there_is_one_source_of_certificate_authorities_at_most() {
        let env = [("AZURE_KUBERNETES_CA_DATA", "PEM"), ("AZURE_KUBERNETES_CA_CONFIGMAP_NAME", "ca")];
        assert!(problems(&[], &env)[0].contains("only one of"));
    }

    #[test]
    fn labels_need_a_signer_and_are_a_label_selector() {
        let selector = |json| [("AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR", json)];
        assert!(problems(&[], &selector("{}"))[0].contains("AZURE_KUBERNETES_CA_CTB_SIGNER_NAME"));
        assert!(problems(&[], &selector("a=b"))[0].contains("matchLabels"));
    }
}
