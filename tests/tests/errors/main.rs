//! What an app is told when it gets no token. A number in a test's name is that of the row in `docs/errors.md`.

mod answer;
mod entra;
mod request;
mod sidecar;
