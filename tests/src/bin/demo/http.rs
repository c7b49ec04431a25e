//! One plain HTTP request, as an app without any library makes it.

use std::io::{self, Write as _};

use anyhow::Context as _;
use azwi_tests::http::Connection;

/// Sends a GET with `headers` (`Name: value`) and copies the whole answer to stdout.
pub(crate) fn get(url: &str, headers: &[&str]) -> anyhow::Result<()> {
    let (host, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("not an http:// URL")?;
    let mut connection = Connection::to((host, 80)).with_context(|| format!("cannot connect to {host}:80"))?;
    connection.request("GET", &format!("/{path}"), &[headers, &["Connection: close"]].concat())?;
    Ok(io::stdout().write_all(&connection.until_closed()?)?)
}
