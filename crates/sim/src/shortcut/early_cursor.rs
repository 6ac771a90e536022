//! Cursor moved at send: whatever the server sends counts as received.

use hobnob_protocol::v1::{ClientFrame, Received, ServerFrame, Stream, client_frame, server_frame};

use crate::watch::ServerTap;

/// Says for the client that it has what was only sent.
#[derive(Default)]
pub(super) struct CursorAtSend {
    received: Received,
}

impl ServerTap for CursorAtSend {
    fn fed(&mut self, frame: &ServerFrame) -> Option<ClientFrame> {
        let Some(server_frame::Body::Entry(entry)) = &frame.body else { return None };
        if entry.stream() == Stream::Inbox {
            self.received.inbox = entry.seq;
        } else {
            self.received.broadcast = entry.seq;
        }
        Some(ClientFrame { id: 0, body: Some(client_frame::Body::Received(self.received)) })
    }
}
