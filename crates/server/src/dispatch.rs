//! Which handler serves which request: a table.

use std::sync::atomic::Ordering;

use hobnob_protocol::v1::{
    ClientFrame, Contact, Done, Hold, HoldMore, Received, Stream, Submit, client_frame::Body as Request,
    refused::Reason, reply::Body as Reply, submit::Op,
};
use tokio::time::Instant;

use crate::{
    handler::{
        file,
        message::{NotedJob, SubmitJob},
        password, presence, private,
    },
    link::Link,
    session::{
        live::{Live, Stop},
        wire::refused,
    },
    store::StreamId,
};

/// Whether a request waits until the submits before it are answered.
pub(crate) fn must_wait(frame: &ClientFrame) -> bool {
    !matches!(
        frame.body,
        Some(
            Request::Submit(_)
                | Request::Received(_)
                | Request::Alive(_)
                | Request::Fetch(_)
                | Request::Contact(_)
                | Request::HoldMore(_)
        )
    )
}

/// Serves one frame of a session; what it returns is the reply, if it has one yet.
pub(crate) async fn dispatch<L: Link>(
    live: &mut Live<L>,
    frame: ClientFrame,
) -> Result<Option<(u64, Reply)>, Stop> {
    let id = frame.id;
    let Some(request) = frame.body else {
        return Ok(Some((id, refused(Reason::UnknownRequest, "This server does not know the request"))));
    };
    if is_activity(&request) {
        live.active();
    }
    match request {
        Request::Submit(submit) => Ok(take_submit(live, id, submit)),
        Request::Received(received) => Ok(noted(live, received)),
        Request::Alive(_) => Ok(None),
        // Boxed: a task has room for whatever it may ever wait for, and most sessions do nothing.
        request => Box::pin(serve(live, id, request)).await,
    }
}

/// Serves what is rare.
async fn serve<L: Link>(live: &mut Live<L>, id: u64, request: Request) -> Result<Option<(u64, Reply)>, Stop> {
    let caller = live.place.account;
    let reply = match request {
        Request::Submit(_) | Request::Received(_) | Request::Alive(_) => return Ok(None),
        Request::Fetch(fetch) => fetch_again(live, fetch.stream(), fetch.after),
        Request::WhoElse(_) => presence::who_else(&live.node, caller),
        Request::WhoElseSince(since) => {
            // All accounts may have to be looked through.
            question(live);
            presence::who_else_since(&live.node, caller, since.seconds).await
        }
        Request::ListBlocks(_) => presence::list_blocks(&live.node, caller).await,
        Request::ChangePassword(change) => {
            password::change(&live.node, live.place, live.from(), live.device.clone(), change).await
        }
        Request::Logout(_) => return Err(live.log_out(id).await),
        Request::Contact(contact) => {
            private_contact(live, &contact);
            return Ok(None);
        }
        Request::Invite(_) | Request::AnswerInvite(_) | Request::CancelInvite(_) | Request::MaySee(_)
            if live.background =>
        {
            refused(Reason::Background, "A background session has no private talk")
        }
        Request::Invite(invite) => {
            let wait = live.private.take(Instant::now());
            live.pause_reading(wait);
            private::invite(&live.node, &live.party(), live.place, &invite.user).await
        }
        Request::AnswerInvite(answer) => private::answer(&live.node, &live.party(), live.place, &answer),
        Request::CancelInvite(cancel) => private::cancel(&live.node, live.place, &cancel.invite),
        Request::MaySee(see) => private::may_see(&live.node, caller, see.user).await,
        Request::Hold(hold) => held(live, hold),
        Request::HoldMore(more) => {
            held_more(live, more);
            return Ok(None);
        }
        Request::Release(release) => file::release(&live.node, live.place, release.content),
        Request::ListFiles(wanted) => {
            question(live);
            file::list_files(&live.node, caller, &wanted.pattern).await
        }
        Request::FindFile(find) => {
            question(live);
            file::find_file(&live.node, caller, find.meant).await
        }
        Request::FindHolders(find) => {
            question(live);
            file::find_holders(&live.node, caller, find).await
        }
        Request::FindSources(find) => {
            let wait = live.holds.take(Instant::now());
            live.pause_reading(wait);
            file::find_sources(&live.node, &live.party(), find.content).await
        }
        Request::Hello(_) | Request::Lookup(_) | Request::Login(_) | Request::Resume(_) => {
            refused(Reason::AlreadyLoggedIn, "Logged in already")
        }
    };
    Ok(Some((id, reply)))
}

/// Receiving is not activity, and neither is what a client does by itself.
fn is_activity(request: &Request) -> bool {
    !matches!(
        request,
        Request::Received(_)
            | Request::Fetch(_)
            | Request::Logout(_)
            | Request::Contact(_)
            | Request::Hold(_)
            | Request::HoldMore(_)
            | Request::Release(_)
            | Request::FindSources(_)
            | Request::MaySee(_)
            | Request::CancelInvite(_)
    )
}

fn take_submit<L: Link>(live: &mut Live<L>, id: u64, submit: Submit) -> Option<(u64, Reply)> {
    let Some(op) = submit.op else {
        return Some((id, refused(Reason::UnknownRequest, "This server does not know the operation")));
    };
    let now = Instant::now();
    live.follow_rates();
    let wait = match op {
        Op::Broadcast(_) => live.sends.take(now).max(live.broadcasts.take(now)),
        _ => live.sends.take(now),
    };
    live.pause_reading(wait);
    let job = SubmitJob {
        sender: live.sender,
        sender_name: live.name.clone(),
        id,
        number: submit.number,
        op,
        now_ms: live.node.world.now_ms(),
        mailbox: live.mailbox.clone(),
        verdict: None,
        node: live.node.clone(),
    };
    live.submit(job);
    None
}

fn noted<L: Link>(live: &mut Live<L>, received: Received) -> Option<(u64, Reply)> {
    if !live.background {
        live.note_broadcast(received.broadcast);
        // Never more than it was sent, as with broadcast: a word on what is to come says nothing once it is there.
        let inbox = received.inbox.min(live.shared.sent_inbox.load(Ordering::Relaxed));
        if inbox > live.shared.noted_inbox.load(Ordering::Relaxed) {
            let job = NotedJob { account: live.place.account, inbox, shared: live.shared.clone() };
            // Before it is queued: it may have failed right after that. Where the writer has no room the next note, which
            // includes this one, will do.
            live.shared.noted_inbox.store(inbox, Ordering::Relaxed);
            if live.node.writer.try_submit(Box::new(job)).is_err() {
                live.shared.noted_inbox.store(0, Ordering::Relaxed);
            }
        }
    }
    None
}

fn private_contact<L: Link>(live: &mut Live<L>, contact: &Contact) {
    if !live.background {
        let wait = live.private.take(Instant::now());
        live.pause_reading(wait);
        private::contact(&live.node, live.place, contact);
    }
}

fn held<L: Link>(live: &mut Live<L>, hold: Hold) -> Reply {
    if live.background {
        return refused(Reason::Background, "A background session shares nothing");
    }
    let wait = live.holds.take(Instant::now());
    live.pause_reading(wait);
    file::hold(&live.node, &live.party(), live.place, hold)
}

fn held_more<L: Link>(live: &mut Live<L>, more: HoldMore) {
    if !live.background {
        let wait = live.holds.take(Instant::now());
        live.pause_reading(wait);
        file::hold_more(&live.node, live.place, more);
    }
}

fn question<L: Link>(live: &mut Live<L>) {
    let wait = live.questions.take(Instant::now());
    live.pause_reading(wait);
}

fn fetch_again<L: Link>(live: &mut Live<L>, stream: Stream, after: u64) -> Reply {
    if live.background {
        return refused(Reason::Background, "A background session has no streams");
    }
    let stream = match stream {
        Stream::Inbox => StreamId::Inbox(live.place.account),
        Stream::Broadcast => StreamId::Broadcast,
        Stream::Unspecified => return refused(Reason::BadRequest, "There is no such stream"),
    };
    live.rewind(stream, after);
    Reply::Done(Done {})
}
