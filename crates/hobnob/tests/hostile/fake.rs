//! A server that is none: it says what it is told to say to whoever asks, whatever that is.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use hobnob_protocol::{
    VERSION,
    close::Close,
    codec,
    limits::FRAME_BYTES_MAX,
    v1::{
        self, Reply, ServerFrame, client_frame::Body as Request, found, invite_ended, invited, login_refused,
        peer_event, refused, reply, server_frame, submitted::Outcome,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Message, protocol::CloseFrame},
};

/// What it says instead of a greeting.
#[derive(Clone)]
pub(crate) enum Says {
    /// A frame, by its bytes.
    Frame(Vec<u8>),
    /// These bytes below the WebSocket.
    Raw(Vec<u8>),
    /// Nothing instead, but whatever is asked gets an answer in which every name and every text is this one. With `kicks`
    /// the session is ended when its client has shown what it was sent.
    Everything { text: String, kicks: bool },
}

/// The reply to the first request.
pub(crate) fn reply(body: reply::Body) -> Says {
    let reply = Reply { id: 1, body: Some(body) };
    Says::Frame(codec::encode(&ServerFrame { body: Some(server_frame::Body::Reply(reply)) }).to_vec())
}

/// Plain text on loopback. Ends with the test that made it.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let says = says.clone();
                calls.spawn(async move {
                    // A client that gives up is what is hoped for.
                    if let Ok(socket) = accept_async(stream).await {
                        speak(socket, says).await;
                    }
                });
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn speak(mut socket: WebSocketStream<TcpStream>, says: Says) {
    if let Says::Everything { text, kicks } = &says {
        return pretend(socket, text, *kicks).await;
    }
    let _ = socket.next().await;
    match says {
        Says::Frame(frame) => drop(socket.send(Message::Binary(frame.into())).await),
        Says::Everything { .. } => {}
        Says::Raw(bytes) => drop(socket.get_mut().write_all(&bytes).await),
    }
    let mut waste = [0; 4096];
    while socket.get_mut().read(&mut waste).await.is_ok_and(|count| count > 0) {}
}

/// Plays a server to the end.
async fn pretend(mut socket: WebSocketStream<TcpStream>, text: &str, kicks: bool) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(bytes) = message else { continue };
        let frame = codec::decode_client(bytes, FRAME_BYTES_MAX).expect("a client's frames are right");
        let (id, request) = (frame.id, frame.body.expect("a request"));
        let close = match &request {
            Request::Logout(_) => Some(Close::LoggedOut),
            Request::Received(_) if kicks => Some(Close::Kicked),
            _ => None,
        };
        let mut bodies = Vec::new();
        if id > 0 {
            let opens = matches!(request, Request::Login(_));
            let body = Some(answer(request, text));
            bodies.push(server_frame::Body::Reply(Reply { id, body }));
            bodies.extend(opens.then(|| events(text)).into_iter().flatten());
        }
        for body in bodies {
            let frame = codec::encode(&ServerFrame { body: Some(body) });
            if socket.send(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        if let Some(close) = close {
            // A reason has 123 bytes at most.
            let reason: String = text.chars().take(30).collect();
            let frame = CloseFrame { code: close.code().into(), reason: reason.into() };
            let _ = socket.close(Some(frame)).await;
        }
    }
}

fn answer(request: Request, text: &str) -> reply::Body {
    let text = text.to_owned();
    let names = || reply::Body::Names(v1::Names { names: vec![text.clone(), String::new(), text.clone()] });
    let content = || Some(v1::Content { id: vec![7; 32].into(), size: 5 });
    match request {
        Request::Hello(_) => reply::Body::Greeting(v1::Greeting {
            version: VERSION,
            nonce: vec![1; 32].into(),
            server_key: vec![2; 32].into(),
            ..v1::Greeting::default()
        }),
        Request::Lookup(_) => {
            reply::Body::Found(v1::Found { answer: found::Answer::Known as i32, reason: text })
        }
        Request::Login(login) if login.name == "refused" => reply::Body::LoginRefused(v1::LoginRefused {
            reason: login_refused::Reason::NameRefused as i32,
            text,
        }),
        Request::Login(_) => reply::Body::Opened(v1::Opened {
            name: text.clone(),
            token: vec![3; 32].into(),
            welcome: text,
            failed_logins: 3,
            epoch: vec![4; 16].into(),
            ticket_key: vec![5; 32].into(),
            ..v1::Opened::default()
        }),
        Request::Submit(submit) => {
            let outcomes = [Outcome::InvalidUser, Outcome::Blocked, Outcome::InboxFull, Outcome::Accepted];
            let outcome = outcomes[submit.number as usize % outcomes.len()] as i32;
            reply::Body::Submitted(v1::Submitted { outcome, user: text, ..v1::Submitted::default() })
        }
        Request::WhoElse(_) | Request::WhoElseSince(_) | Request::ListBlocks(_) | Request::FindHolders(_) => {
            names()
        }
        Request::Invite(_) => reply::Body::Invited(v1::Invited {
            outcome: invited::Outcome::Offline as i32,
            user: text,
            invite: vec![8; 16].into(),
        }),
        Request::ListFiles(_) | Request::FindFile(_) => {
            let entry = v1::FileEntry { content: content(), name: text, sources: 1, folder: None };
            reply::Body::Files(v1::Files { files: vec![entry], more: true })
        }
        Request::FindSources(_) => {
            let source = v1::Source {
                user: text.clone(),
                key: vec![9; 32].into(),
                addresses: vec![text.clone()],
                tcp: vec![text],
                complete: true,
                ..v1::Source::default()
            };
            reply::Body::Sources(v1::Sources { sources: vec![source], ..v1::Sources::default() })
        }
        Request::Logout(_) => reply::Body::Done(v1::Done {}),
        _ => reply::Body::Refused(v1::Refused { reason: refused::Reason::PasswordRefused as i32, text }),
    }
}

/// What comes right behind a login.
fn events(text: &str) -> Vec<server_frame::Body> {
    use peer_event::Event;
    let text = || text.to_owned();
    let entry = |stream: v1::Stream| {
        server_frame::Body::Entry(v1::Entry {
            stream: stream as i32,
            seq: 1,
            sender: text(),
            text: text(),
            sent_ms: 0,
        })
    };
    let peer = |event| server_frame::Body::Peer(v1::PeerEvent { event: Some(event) });
    let invite = |byte: u8| vec![byte; 16].into();
    let ended = invite_ended::Reason::Expired as i32;
    vec![
        entry(v1::Stream::Inbox),
        entry(v1::Stream::Broadcast),
        server_frame::Body::Presence(v1::Presence { user: text(), online: true }),
        server_frame::Body::Presence(v1::Presence { user: text(), online: false }),
        peer(Event::Asked(v1::Asked { invite: invite(1), user: text() })),
        peer(Event::Ended(v1::InviteEnded { invite: invite(1), user: text(), reason: ended })),
        peer(Event::Asked(v1::Asked { invite: invite(2), user: text() })),
    ]
}
