//! Reads the body of a request: within a size, and all of them together within another.

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::Semaphore;

/// Largest review, in bytes. The API server takes objects of up to 3 MiB, and a review holds two at most.
pub(crate) const MAX: usize = 7 * 1024 * 1024;
/// What all bodies may take at once, in KiB.
const ROOM: usize = 4 * MAX / KIB;
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

/// Room for the bodies that are in memory.
pub(crate) struct Bodies(Semaphore);

impl Bodies {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(ROOM))
    }

    /// Reads a whole body and hands it to `then`. One that is too large is read to its end as well, since the answer would
    /// not reach a client that is still sending.
    pub(crate) async fn with<B, T>(&self, body: B, then: impl AsyncFnOnce(&[u8]) -> T) -> Result<T, BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX).min(MAX);
        let permits = u32::try_from(size.div_ceil(KIB)).unwrap_or(u32::MAX);
        let _room = self.0.acquire_many(permits).await.map_err(|_| BodyError::EndedEarly)?;
        let whole = read(body, size).await?;
        Ok(then(&whole).await)
    }
}

async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B, size: usize) -> Result<Vec<u8>, BodyError> {
    let mut whole = Vec::with_capacity(size.min(KIB * KIB));
    let mut is_too_large = false;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::EndedEarly)?.into_data() else { continue };
        is_too_large |= whole.len().saturating_add(data.remaining()) > MAX;
        if is_too_large {
            whole = Vec::new();
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if is_too_large { Err(BodyError::TooLarge) } else { Ok(whole) }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

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

    #[tokio::test]
    async fn bodies_beyond_the_room_wait_for_those_before_them() {
        let bodies = Bodies::new();
        let body = || Full::new(Bytes::from(vec![b' '; MAX]));
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let released = futures_util::FutureExt::shared(released);
        let hold = || bodies.with(body(), async |_: &[u8]| drop(released.clone().await));
        let four = futures_util::future::join4(hold(), hold(), hold(), hold());
        let fifth = bodies.with(body(), async |_: &[u8]| released.peek().is_some());
        let (_, fifth, ()) = futures_util::future::join3(four, fifth, async {
            tokio::task::yield_now().await;
            drop(release);
        })
        .await;
        assert_eq!(fifth, Ok(true));
    }
}
