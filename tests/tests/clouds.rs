//! Every cloud: whatever host `AZURE_AUTHORITY_HOST` names is asked for the token, and nothing else is asked.
//!
//! Hosts as in <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud> and, for aliases, as
//! Entra's own instance discovery names them. They are reached through a proxy that answers in their place.

use anyhow::{Context as _, Result};
use azwi_tests::stage::{BLANK_TENANT, RESOURCE, alone};
use azwi_tests::tls_server::{Authority, TlsServer, Visit, token_answer};

/// Hosts of the public cloud, Azure Government, Azure operated by 21Vianet, the retired German cloud, and newer ones.
const HOSTS: [&str; 13] = [
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "sts.windows.net",
    "login.microsoftonline.us",
    "login.usgovcloudapi.net",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.microsoftonline.de",
    "login.sovcloud-identity.fr",
    "login.sovcloud-identity.de",
    "login.sovcloud-identity.sg",
    "entra.internal.example",
];

/// The requests that a token costs with `authority` as `AZURE_AUTHORITY_HOST`.
fn visits(authority: &str, host: &str) -> Result<Vec<Visit>> {
    let directory = tempfile::tempdir()?;
    let company = Authority::new("company")?;
    let internet = TlsServer::start_behind_connect(company.certify(&[host])?, &token_answer())?;
    let ca_file = directory.path().join("ca.crt");
    std::fs::write(&ca_file, company.pem())?;
    let proxy = format!("http://127.0.0.1:{}", internet.port());
    let env = [("AZURE_AUTHORITY_HOST", authority), ("HTTPS_PROXY", &proxy)];
    let sidecar = alone(directory.path(), &env, &["--ca-file", &ca_file.to_string_lossy()])?;
    let response = sidecar.token(RESOURCE)?;
    assert_eq!(response.status, 200, "{authority}: {}", response.body);
    Ok(internet.visits())
}

/// What the one request must have been: the host and port of the connection, of TLS and of HTTP, and the path.
fn assert_only(visits: &[Visit], connect: &str, authority: &str, path: &str) -> Result<()> {
    assert_eq!(visits.len(), 1, "{visits:?}");
    let visit = visits.first().context("no request")?;
    assert_eq!(visit.connect, connect);
    assert_eq!(visit.server_name, connect.rsplit_once(':').map_or("", |(host, _port)| host));
    assert_eq!(visit.header("Host"), Some(authority));
    assert_eq!(visit.request_line, format!("POST {path}/{BLANK_TENANT}/oauth2/v2.0/token HTTP/1.1"));
    Ok(())
}

#[test]
fn every_clouds_authority_is_asked_for_the_token_and_for_nothing_else() -> Result<()> {
    for host in HOSTS {
        for slash in ["", "/"] {
            let visits = visits(&format!("https://{host}{slash}"), host)?;
            assert_only(&visits, &format!("{host}:443"), host, "")?;
        }
    }
    Ok(())
}

#[test]
fn an_authority_may_have_a_port_and_a_path() -> Result<()> {
    let visits = visits("https://entra.example:8443/a/b/", "entra.example")?;
    assert_only(&visits, "entra.example:8443", "entra.example:8443", "/a/b")
}

#[test]
fn the_public_cloud_is_the_default() -> Result<()> {
    let host = "login.microsoftonline.com";
    assert_only(&visits("", host)?, "login.microsoftonline.com:443", host, "")
}
