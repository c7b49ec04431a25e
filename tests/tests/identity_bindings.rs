//! AKS identity bindings: the token proxy that is asked in Entra's place, as the Azure SDKs ask it.
//!
//! <https://learn.microsoft.com/azure/aks/identity-bindings-concepts>; what the variables mean is as in azidentity for Go.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use azwi_tests::http::Response;
use azwi_tests::proxy::Proxy;
use azwi_tests::stage::{BLANK_TENANT, BLANK_TOKEN, DEMO, RESOURCE, alone};
use azwi_tests::tls_server::{Authority, TlsServer, token_answer};
use tempfile::TempDir;

/// The token proxy's name in TLS; no name server knows it.
const NAME: &str = "ib.prod-aks.example";

/// A token proxy, and a sidecar that trusts its authority through `AZURE_KUBERNETES_CA_FILE`.
struct Binding {
    directory: TempDir,
    authority: Authority,
    server: TlsServer,
    sidecar: Proxy,
}

impl Binding {
    fn new(answer: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("cluster")?;
        let server = TlsServer::start(authority.certify(&[NAME])?, answer)?;
        let ca_file = write_ca(directory.path(), &authority)?;
        let url = format!("https://127.0.0.1:{}/x/", server.port());
        let env = [
            ("AZURE_KUBERNETES_TOKEN_PROXY", url.as_str()),
            ("AZURE_KUBERNETES_SNI_NAME", NAME),
            ("AZURE_KUBERNETES_CA_FILE", &ca_file),
        ];
        let sidecar = alone(directory.path(), &env, &[])?;
        Ok(Self { directory, authority, server, sidecar })
    }

    /// Another token each time.
    fn token(&self, resource: &str) -> Result<Response> {
        self.sidecar.token(&format!("resource={resource}"))
    }
}

/// Writes the file with the trusted authority as a kubelet does: at once.
fn write_ca(directory: &Path, authority: &Authority) -> Result<String> {
    let (file, new) = (directory.join("ca.crt"), directory.join("ca.crt.new"));
    fs::write(&new, authority.pem())?;
    fs::rename(new, &file)?;
    Ok(file.to_string_lossy().into_owned())
}

#[test]
fn the_token_proxy_gets_what_entra_would_get() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    let response = binding.sidecar.token(RESOURCE)?;
    assert_eq!((response.status, response.field("access_token").as_str()), (200, "opaque"), "{}", response.body);
    let visits = binding.server.visits();
    let [visit] = visits.as_slice() else { panic!("{visits:?}") };
    assert_eq!((visit.server_name.as_str(), visit.protocols.as_str()), (NAME, "http/1.1"));
    assert_eq!(visit.request_line, format!("POST /x/{BLANK_TENANT}/oauth2/v2.0/token HTTP/1.1"));
    assert_eq!(visit.header("Host"), Some(format!("127.0.0.1:{}", binding.server.port()).as_str()));
    assert_eq!(visit.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", DEMO),
        ("scope", "https://management.azure.com//.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", BLANK_TOKEN),
    ];
    assert_eq!(visit.form(), form.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(())
}

#[test]
fn the_log_says_that_a_token_proxy_is_asked() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    let starting = binding.sidecar.log.wait_for(&[("message", "starting")]).context("no such line")?;
    let url = format!("https://127.0.0.1:{}/x/", binding.server.port());
    assert_eq!(starting.get("token_proxy").and_then(|value| value.as_str()), Some(url.as_str()));
    Ok(())
}

#[test]
fn a_redirect_of_the_token_proxy_is_not_followed() -> Result<()> {
    let elsewhere = Authority::new("elsewhere")?;
    let elsewhere = TlsServer::start(elsewhere.certify(&["localhost"])?, &token_answer())?;
    let location = format!("https://localhost:{}/", elsewhere.port());
    let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let binding = Binding::new(&answer)?;
    assert_eq!(binding.token("https://vault.azure.net")?.status, 503);
    assert!(!binding.server.visits().is_empty() && elsewhere.visits().is_empty());
    Ok(())
}

#[test]
fn its_authorities_are_the_only_ones() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    let stranger = Authority::new("stranger")?;
    binding.server.replace_certificate(stranger.certify(&[NAME])?);
    let response = binding.token("https://vault.azure.net")?;
    let description = response.field("error_description");
    assert_eq!(response.status, 503);
    for part in ["token proxy", "UnknownIssuer", "AZURE_KUBERNETES_CA_FILE"] {
        assert!(description.contains(part), "{description}");
    }
    assert!(binding.server.visits().is_empty());
    Ok(())
}

#[test]
fn a_certificate_for_another_name_is_refused() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    binding.server.replace_certificate(binding.authority.certify(&["other.example", "127.0.0.1"])?);
    let response = binding.token("https://vault.azure.net")?;
    assert_eq!(response.status, 503);
    assert!(response.field("error_description").contains(NAME), "{}", response.body);
    assert!(binding.server.visits().is_empty());
    Ok(())
}

#[test]
fn a_new_authority_in_the_file_is_trusted_at_the_next_exchange_and_the_old_one_no_more() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    assert_eq!(binding.token("https://vault.azure.net")?.status, 200);
    let new = Authority::new("new")?;
    write_ca(binding.directory.path(), &new)?;
    // The connection to who proved to be the old one is there still, but not used.
    assert_eq!(binding.token("https://graph.microsoft.com")?.status, 503);
    binding.server.replace_certificate(new.certify(&[NAME])?);
    assert_eq!(binding.token("https://storage.azure.com")?.status, 200);
    Ok(())
}

#[test]
fn a_file_that_is_empty_for_a_moment_changes_nothing() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    assert_eq!(binding.token("https://vault.azure.net")?.status, 200);
    fs::write(binding.directory.path().join("ca.crt"), "")?;
    assert_eq!(binding.token("https://graph.microsoft.com")?.status, 200);
    Ok(())
}

#[test]
fn without_a_readable_file_nothing_is_sent_and_the_answer_says_why() -> Result<()> {
    let binding = Binding::new(&token_answer())?;
    let file = binding.directory.path().join("ca.crt");
    assert_eq!(binding.token("https://vault.azure.net")?.status, 200);
    fs::write(&file, "nonsense")?;
    let response = binding.token("https://graph.microsoft.com")?;
    assert_eq!(response.status, 503);
    assert!(response.field("error_description").contains("ca.crt holds no PEM certificate"), "{}", response.body);
    fs::remove_file(&file)?;
    let response = binding.token("https://storage.azure.com")?;
    assert_eq!(response.status, 503);
    assert!(response.field("error_description").contains("ca.crt cannot be read"), "{}", response.body);
    assert_eq!(binding.server.visits().len(), 1);
    Ok(())
}

#[test]
fn the_authorities_may_come_as_text_and_the_name_from_the_url() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("cluster")?;
    let server = TlsServer::start(authority.certify(&["localhost"])?, &token_answer())?;
    let url = format!("https://localhost:{}", server.port());
    let env = [("AZURE_KUBERNETES_TOKEN_PROXY", url.as_str()), ("AZURE_KUBERNETES_CA_DATA", authority.pem())];
    assert_eq!(alone(directory.path(), &env, &[])?.token(RESOURCE)?.status, 200);
    let visit = server.visits().pop().context("no request")?;
    assert_eq!(visit.server_name, "localhost");
    assert_eq!(visit.request_line, format!("POST /{BLANK_TENANT}/oauth2/v2.0/token HTTP/1.1"));
    Ok(())
}

#[test]
fn without_authorities_of_its_own_the_systems_and_those_of_the_flag_vouch_for_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("company")?;
    let server = TlsServer::start(authority.certify(&["localhost"])?, &token_answer())?;
    let ca_file = write_ca(directory.path(), &authority)?;
    let url = format!("https://localhost:{}", server.port());
    let sidecar = alone(directory.path(), &[("AZURE_KUBERNETES_TOKEN_PROXY", &url)], &["--ca-file", &ca_file])?;
    assert_eq!(sidecar.token(RESOURCE)?.status, 200);
    Ok(())
}

#[test]
fn the_flag_beside_authorities_that_are_the_only_ones_is_a_mistake() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let ca_file = write_ca(directory.path(), &Authority::new("company")?)?;
    let env = [("AZURE_KUBERNETES_TOKEN_PROXY", "https://127.0.0.1:1/"), ("AZURE_KUBERNETES_CA_FILE", &ca_file)];
    let error = alone(directory.path(), &env, &["--ca-file", &ca_file]).map(drop).unwrap_err().to_string();
    assert!(error.contains("--ca-file: has no effect beside AZURE_KUBERNETES_CA_FILE"), "{error}");
    Ok(())
}
