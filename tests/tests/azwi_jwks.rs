//! `azwi jwks`, as whoever runs a cluster of their own uses it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        fs::write(self.path(name), content)?;
        Ok(self.path(name))
    }
}

fn jwks(files: &[&Path], further: &[&str]) -> Result<Output> {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    Ok(Command::new(binary("azwi")?).args(["jwks", "--public-keys", &files.join(",")]).args(further).output()?)
}

fn keys(files: &[&Path]) -> Result<Vec<Value>> {
    let output = jwks(files, &[])?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout)?;
    Ok(document.get("keys").and_then(Value::as_array).context("no keys")?.clone())
}

fn refusal(files: &[&Path], further: &[&str]) -> Result<String> {
    let output = jwks(files, further)?;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    Ok(String::from_utf8(output.stderr)?)
}

#[test]
fn a_key_is_the_same_in_whatever_form_it_comes() -> Result<()> {
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512] {
        let (place, key) = (Place::new()?, KeyPair::generate_for(algorithm)?);
        let certificate = CertificateParams::default().self_signed(&key)?;
        let public = place.file("public.pem", &key.public_key_pem())?;
        let private = place.file("private.pem", &key.serialize_pem())?;
        let certificate = place.file("certificate.pem", &certificate.pem())?;
        let alone = keys(&[&public])?;
        assert_eq!(alone.len(), 1);
        assert_eq!((&keys(&[&private])?, &keys(&[&certificate])?), (&alone, &alone));
        // And given twice it is there once.
        assert_eq!(keys(&[&public, &private, &certificate])?, alone);
    }
    Ok(())
}

#[test]
fn an_ec_key_names_its_curve_and_its_algorithm() -> Result<()> {
    let place = Place::new()?;
    for (algorithm, curve, name) in [
        (&PKCS_ECDSA_P256_SHA256, "P-256", "ES256"),
        (&PKCS_ECDSA_P384_SHA384, "P-384", "ES384"),
        (&PKCS_ECDSA_P521_SHA512, "P-521", "ES512"),
    ] {
        let file = place.file(name, &KeyPair::generate_for(algorithm)?.public_key_pem())?;
        let key = keys(&[&file])?.remove(0);
        assert_eq!(
            [&key["kty"], &key["crv"], &key["alg"], &key["use"]],
            [&json!("EC"), &json!(curve), &json!(name), &json!("sig")]
        );
    }
    Ok(())
}

#[test]
fn nothing_of_a_private_key_is_published_but_its_public_half() -> Result<()> {
    let place = Place::new()?;
    for (algorithm, members) in [
        (&PKCS_RSA_SHA256, &["alg", "e", "kid", "kty", "n", "use"][..]),
        (&PKCS_ECDSA_P256_SHA256, &["alg", "crv", "kid", "kty", "use", "x", "y"]),
    ] {
        let file = place.file("private.pem", &KeyPair::generate_for(algorithm)?.serialize_pem())?;
        let key = keys(&[&file])?.remove(0);
        let mut found: Vec<_> = key.as_object().context("no object")?.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, members);
    }
    Ok(())
}

#[test]
fn a_file_that_is_replaced_stays_what_it_was_to_others() -> Result<()> {
    let place = Place::new()?;
    let key = place.file("sa.pub", &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.public_key_pem())?;
    let published = place.file("published.json", "old")?;
    fs::set_permissions(&published, Permissions::from_mode(0o644))?;
    let link = place.path("link.json");
    symlink(&published, &link)?;
    let output = jwks(&[&key], &["--output-file", link.to_str().context("not UTF-8")?])?;
    assert!(output.status.success());
    assert!(link.is_symlink(), "the link is gone");
    assert!(fs::read_to_string(&published)?.contains("keys"));
    assert_eq!(fs::metadata(&published)?.permissions().mode() & 0o777, 0o644);
    Ok(())
}

#[test]
fn the_document_goes_to_a_file_that_is_replaced_as_a_whole_or_not_at_all() -> Result<()> {
    let place = Place::new()?;
    let key = place.file("sa.pub", &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.public_key_pem())?;
    let output_file = place.file("jwks.json", "old")?;
    let to_file = ["--output-file", output_file.to_str().context("not UTF-8")?];
    let no_key = place.file("no.pub", "nothing\n")?;
    refusal(&[&key, &no_key], &to_file)?;
    assert_eq!(fs::read_to_string(&output_file)?, "old");
    let output = jwks(&[&key], &to_file)?;
    assert!(output.status.success() && output.stdout.is_empty());
    let document: Value = serde_json::from_str(&fs::read_to_string(&output_file)?)?;
    assert_eq!(document["keys"], json!(keys(&[&key])?));
    Ok(())
}

#[test]
fn a_file_without_a_key_is_named_with_what_would_be_right() -> Result<()> {
    let place = Place::new()?;
    let (missing, empty) = (place.path("missing.pub"), place.file("empty.pub", "\n")?);
    assert!(refusal(&[&missing], &[])?.contains("missing.pub: No such file"));
    let why = refusal(&[&empty], &[])?;
    assert!(
        why.starts_with("azwi: --public-keys: ") && why.contains("empty.pub: it has no key: expected `PUBLIC KEY`"),
        "{why}"
    );
    Ok(())
}

#[test]
fn a_key_of_another_kind_is_refused() -> Result<()> {
    let place = Place::new()?;
    let file = place.file("ed25519.pub", &KeyPair::generate_for(&rcgen::PKCS_ED25519)?.public_key_pem())?;
    assert!(refusal(&[&file], &[])?.contains("expected RSA of 2048 to 8192 bits, or EC on P-256, P-384 or P-521"));
    Ok(())
}
