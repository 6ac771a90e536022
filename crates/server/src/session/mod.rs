//! One connection: before a login (`door.rs`), and as a session (`live.rs`). One task each, which owns all of the
//! connection's state; others reach it through its mailbox in the hub.

mod door;
pub(crate) mod live;
mod push;
mod times;
mod turn;
pub(crate) mod wire;

use std::{net::IpAddr, sync::Arc};

use hobnob_protocol::close::Close;

use crate::{hub, link::Link, node::Node, throttle::Waiting};
use wire::Wire;

/// Serves one connection from its first frame until it is gone. `waiting` counts it as one without a login.
pub async fn serve<L: Link>(node: Arc<Node>, link: L, address: IpAddr, waiting: Waiting) {
    let mut wire = Wire::new(link);
    let (handle, mail) = hub::mailbox();
    handle.shared.came(address, node.world.now_ms());
    let entered = match Box::pin(door::enter(&node, &mut wire, address, &waiting, &handle)).await {
        Ok(entered) => entered,
        Err(close) => {
            close.inspect(|close| node.security.closed(address, None, *close));
            return Box::pin(close_with(&mut wire, close)).await;
        }
    };
    drop(waiting);
    let mut live = live::Live::begin(node, wire, entered, &handle, mail);
    drop(handle);
    if let Some(close) = live.run().await {
        live.node.security.closed(address, Some(&live.name), close);
        Box::pin(live.close(close)).await;
    }
}

async fn close_with<L: Link>(wire: &mut Wire<L>, close: Option<Close>) {
    if let Some(close) = close {
        wire.close(close).await;
    }
}
