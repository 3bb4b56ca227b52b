//! The pictures of the products that exist from the first start. Inventory's seed names their ids.
use crate::{
    decode::Header,
    picture::{Id, Picture},
    store::Store,
};
use bytes::Bytes;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PICTURES: [&[u8]; 5] = [
    include_bytes!("../pictures/lantern.jpg"),
    include_bytes!("../pictures/jacket.jpg"),
    include_bytes!("../pictures/barometer.jpg"),
    include_bytes!("../pictures/rope.jpg"),
    include_bytes!("../pictures/mug.jpg"),
];
/// Time to the next try while the store is away.
const RETRY: Duration = Duration::from_secs(5);

/// Stores the pictures that are missing, then waits for the end.
pub async fn run(store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    while let Err(error) = seed(&store).await {
        tracing::warn!(%error, "can't store the pictures of the products yet");
        if stop
            .run_until_cancelled(tokio::time::sleep(RETRY))
            .await
            .is_none()
        {
            return Ok(());
        }
    }
    stop.cancelled().await;
    Ok(())
}

async fn seed(store: &Store) -> anyhow::Result<()> {
    for jpeg in PICTURES {
        if !store.has(Id::of(jpeg)).await? {
            let picture = tokio::task::spawn_blocking(|| -> crate::error::Result<_> {
                // Kept as it is: encoding it again would change its id.
                Picture::from_stored(Bytes::from_static(jpeg), &Header::read(jpeg)?.decode()?)
            });
            store.put(&picture.await??).await?;
        }
    }
    Ok(())
}
