//! Placing an order: reserve, record with its events, answer. Two commits, each of them safe to repeat.
use crate::{
    App,
    error::{Error, Result},
    inventory::Reserved,
    order::{self, NewOrder, Order},
};
use contracts::reservation::Reserve;
use sabotage::Bug;
use uuid::Uuid;

/// The order that belongs to the key, and whether it was there before.
pub struct Placed {
    pub order: Order,
    pub replayed: bool,
}

/// Places an order of somebody, or of nobody known, under an idempotency key.
pub async fn place(app: &App, user_id: Option<Uuid>, key: &str, new: NewOrder) -> Result<Placed> {
    new.validate().map_err(Error::Invalid)?;
    let id = order::id_for(&app.secret, user_id, key);
    let reserve = Reserve {
        order_id: id,
        product_id: new.product_id.clone(),
        quantity: new.quantity,
    };
    let reservation = match app.inventory.reserve(&reserve).await? {
        Reserved::Yes(reservation) => reservation,
        Reserved::Taken => return replay(app, id, &new, true).await,
    };
    let order = Order::confirmed(new.clone(), &reservation, user_id, db::now())
        .ok_or(Error::TotalOutOfRange)?;
    if sabotage::has(Bug::ReplyBeforeCommit) {
        let (recorder, later) = (app.recorder.clone(), order.clone());
        tokio::spawn(async move { recorder.submit(later).await });
        return Ok(Placed {
            order,
            replayed: false,
        });
    }
    if app.recorder.submit(order.clone()).await?? {
        return Ok(Placed {
            order,
            replayed: false,
        });
    }
    replay(app, id, &new, false).await
}

/// The key was used before: the same order again, or a conflict.
async fn replay(app: &App, id: Uuid, new: &NewOrder, reserved_otherwise: bool) -> Result<Placed> {
    match app.store.get(id).await? {
        Some(order) if order.status == order::Status::Expired => Err(Error::Expired),
        Some(order) if order.answers(new) => Ok(Placed {
            order,
            replayed: true,
        }),
        Some(_) => Err(Error::KeyReused),
        // A hold without an order: of another content, or just given back.
        None if reserved_otherwise => Err(Error::KeyReused),
        None => Err(Error::Expired),
    }
}
