//! A certificate in a directory, which somebody else renews: cert-manager, an operator.
//!
//! Looked at every few seconds rather than watched: kubelet renews a mounted Secret by swapping directories, once a minute
//! at most.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::served::{Served, Unusable};
use crate::readiness::{Condition, Readiness};

/// Between looks.
const ROUND: Duration = Duration::from_secs(5);

/// Why there is no certificate to serve with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
struct Problem {
    path: PathBuf,
    why: String,
}

/// Serves with the certificate in `directory` for as long as it is polled. One that cannot be used leaves the one before it
/// in place.
pub(crate) async fn follow(directory: &Path, served: &Served, readiness: &Readiness) {
    // Whoever vouches for it is in the webhook configuration, but we need not know.
    readiness.meet(Condition::CaBundle);
    let mut told = None;
    loop {
        match load(directory, served) {
            Ok(()) => {
                readiness.meet(Condition::Certificate);
                told = None;
            }
            Err(problem) if told.as_ref() == Some(&problem) => {}
            Err(problem) => {
                tracing::error!(error = %problem, "no certificate to serve with from there");
                told = Some(problem);
            }
        }
        sleep(ROUND).await;
    }
}

fn load(directory: &Path, served: &Served) -> Result<(), Problem> {
    let certificate = read(directory.join("tls.crt"))?;
    let key = read(directory.join("tls.key"))?;
    let unusable = |error: Unusable| Problem { path: directory.to_owned(), why: error.to_string() };
    served.serve(&certificate, &key).map(drop).map_err(unusable)
}

fn read(path: PathBuf) -> Result<Vec<u8>, Problem> {
    std::fs::read(&path).map_err(|error: io::Error| Problem { path, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::time::timeout;

    use super::*;

    fn write(directory: &Path, name: &str) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(directory.join("tls.crt"), cert.pem()).unwrap();
        fs::write(directory.join("tls.key"), signing_key.serialize_pem()).unwrap();
    }

    fn serves(served: &Served, directory: &Path) -> bool {
        // Serving what is in the directory would be nothing new.
        let read = |name| fs::read(directory.join(name)).unwrap();
        !served.serve(&read("tls.crt"), &read("tls.key")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_comes_late_or_changes_is_served_within_seconds() {
        let directory = tempfile::tempdir().unwrap();
        let (served, readiness) = (Served::default(), Readiness::default());
        let mut following = Box::pin(follow(directory.path(), &served, &readiness));
        assert!(timeout(ROUND / 2, &mut following).await.is_err());
        assert!(readiness.reasons().contains(&"there is no certificate yet"));
        for name in ["first.svc", "second.svc"] {
            write(directory.path(), name);
            assert!(timeout(ROUND, &mut following).await.is_err());
            assert!(serves(&served, directory.path()));
        }
        assert!(!readiness.reasons().contains(&"there is no certificate yet"));
    }

    #[test]
    fn a_key_that_does_not_fit_leaves_the_certificate_before_it_in_place() {
        let directory = tempfile::tempdir().unwrap();
        let served = Served::default();
        write(directory.path(), "first.svc");
        load(directory.path(), &served).unwrap();
        let (first, expires) = (fs::read(directory.path().join("tls.key")).unwrap(), served.expires());
        write(directory.path(), "second.svc");
        fs::write(directory.path().join("tls.key"), first).unwrap();
        assert!(load(directory.path(), &served).unwrap_err().why.contains("cannot be used with the key"));
        assert_eq!(served.expires(), expires);
    }
}
