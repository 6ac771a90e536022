//! The client's end at the client's seam.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hobnob_client::link::{Link, LinkError};
use hobnob_protocol::codec;
use hobnob_protocol::limits::FRAME_BYTES_MAX;

use super::{BUFFER_FRAMES, ClientEnd, Gone, Payload};

const LOST: LinkError = LinkError { close: None };

impl Link for ClientEnd {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        match ready!(self.end.inbound.poll(cx)) {
            Some(Payload::Frame(frame)) => {
                let shown = || {
                    format!("#{} < {:?}", self.trace, codec::decode_server(frame.clone(), FRAME_BYTES_MAX))
                };
                self.end.inbound.fate.sim.trace.frame(&frame, shown);
                Poll::Ready(Ok(Some(frame)))
            }
            Some(Payload::Ping) => {
                self.end.outbound.buffer.push_back(Payload::Pong);
                // Whatever is wrong with the connection shows at the next frame.
                let _ = self.end.outbound.poll_flush(cx);
                Poll::Ready(Ok(None))
            }
            Some(Payload::Pong) => Poll::Ready(Ok(None)),
            Some(Payload::Close(close)) => Poll::Ready(Err(LinkError { close })),
            None => Poll::Ready(Err(LOST)),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.end.outbound.buffer.len() < BUFFER_FRAMES {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx)
    }

    fn feed(&mut self, frame: Bytes) -> Result<(), LinkError> {
        let shown =
            || format!("#{} > {:?}", self.trace, codec::decode_client(frame.clone(), FRAME_BYTES_MAX));
        self.end.outbound.fate.sim.trace.frame(&frame, shown);
        self.end.outbound.buffer.push_back(Payload::Frame(frame));
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.end.outbound.poll_flush(cx).map_err(|Gone| LOST)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.outbound.buffer.push_back(Payload::Close(None));
        self.end.outbound.poll_flush(cx).map(drop)
    }
}
