//! Reads the body of a request: within a size, and all that are large together within another.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::Semaphore;

/// Largest review, in bytes. The API server takes objects of up to 3 MiB, and a review holds two at most.
pub(crate) const MAX: usize = 7 * 1024 * 1024;
/// What is no large body, in bytes: hardly any review is one. These need no room, so that nobody who fills it with large
/// ones holds them up.
const SMALL: usize = 64 * KIB;
/// What all large bodies may take at once, in KiB: one of the largest, or many that are usual.
const ROOM: usize = MAX / KIB;
const KIB: usize = 1024;

/// Why there is no body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than [`MAX`].
    #[error("the review is larger than {} MiB", MAX / KIB / KIB)]
    TooLarge,
    /// The client is gone.
    #[error("the review ended early")]
    EndedEarly,
}

/// Room for large bodies.
pub(crate) struct Bodies(Semaphore);

impl Bodies {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(ROOM))
    }

    /// Reads a whole body and hands it to `then`. One that is too large is read to its end as well, since the answer would
    /// not reach a client that is still sending.
    pub(crate) async fn with<B, T>(&self, mut body: B, then: impl AsyncFnOnce(&[u8]) -> T) -> Result<T, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let size = size(&body);
        let (mut whole, mut room, mut is_too_large) = (Vec::with_capacity(size.min(SMALL)), None, false);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::EndedEarly)?.into_data() else { continue };
            let length = whole.len().saturating_add(data.len());
            is_too_large |= length > MAX;
            if is_too_large {
                whole = Vec::new();
                continue;
            }
            if length > SMALL && room.is_none() {
                let permits = u32::try_from(size.div_ceil(KIB)).unwrap_or(u32::MAX);
                room = Some(self.0.acquire_many(permits).await.map_err(|_| BodyError::EndedEarly)?);
            }
            whole.extend_from_slice(&data);
        }
        if is_too_large { Err(BodyError::TooLarge) } else { Ok(then(&whole).await) }
    }
}

/// As large as a body may become, as far as anybody says.
fn size(body: &impl Body) -> usize {
    let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok());
    size.unwrap_or(MAX).min(MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;
    use crate::server::MAX_CONNECTIONS;

    async fn length(body: impl Body<Data = Bytes> + Unpin) -> Result<usize, BodyError> {
        Bodies::new().with(body, async |whole: &[u8]| whole.len()).await
    }

    fn whole(size: usize) -> Full<Bytes> {
        Full::new(Bytes::from(vec![b' '; size]))
    }

    #[tokio::test]
    async fn a_review_may_be_seven_mebibytes_long_and_no_longer() {
        assert_eq!(length(whole(MAX)).await, Ok(MAX));
        assert_eq!(length(whole(MAX + 1)).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn one_of_unknown_length_has_the_same_limit() {
        let half = || Ok::<_, ()>(Frame::data(Bytes::from(vec![b' '; MAX / 2])));
        assert_eq!(length(StreamBody::new(stream::iter([half(), half()]))).await, Ok(MAX / 2 * 2));
        assert_eq!(length(StreamBody::new(stream::iter([half(), half(), half()]))).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_told_apart_from_one_that_is_done() {
        let broken = StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from("{"))), Err(())]));
        assert_eq!(length(broken).await, Err(BodyError::EndedEarly));
    }

    /// Fills the room until the function says that it was released, and meanwhile reads another body; whether that had to
    /// wait.
    async fn waits_for_room(size: usize) -> bool {
        let bodies = Bodies::new();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let released = futures_util::FutureExt::shared(released);
        let hold = || bodies.with(whole(MAX), async |_: &[u8]| drop(released.clone().await));
        let four = futures_util::future::join4(hold(), hold(), hold(), hold());
        let fifth = bodies.with(whole(size), async |_: &[u8]| released.peek().is_some());
        let (_, fifth, ()) = futures_util::future::join3(four, fifth, async {
            tokio::task::yield_now().await;
            drop(release);
        })
        .await;
        fifth.unwrap()
    }

    #[tokio::test]
    async fn large_bodies_beyond_the_room_wait_for_those_before_them() {
        assert!(waits_for_room(SMALL + 1).await);
    }

    #[tokio::test]
    async fn small_bodies_wait_for_nobody() {
        assert!(!waits_for_room(SMALL).await);
    }

    /// Else whoever sends bodies on all connections ends the process, and with it the creation of pods.
    #[test]
    fn all_bodies_at_once_fit_into_the_memory_that_the_chart_allows() {
        const PROCESS: usize = 16 * KIB * KIB;
        let values = include_str!("../../../../charts/workload-identity-webhook/values.yaml");
        let (_, limits) = values.split_once("resources: {limits: {").unwrap();
        let (_, memory) = limits.split_once("memory: ").unwrap();
        let mebibytes: usize = memory.split_once("Mi}").unwrap().0.parse().unwrap();
        assert!(ROOM * KIB + MAX_CONNECTIONS * SMALL + PROCESS <= mebibytes * KIB * KIB);
    }
}
