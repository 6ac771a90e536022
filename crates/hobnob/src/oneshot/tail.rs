//! `hobnob tail`: online, and only listening.

use std::io;

use hobnob_client::{End, Event, Message, Slot};
use hobnob_protocol::v1::Stream;
use serde_json::json;

use super::{Session, json, met, say, stopped, tell};
use crate::{
    chat::{line, text},
    config::OneShotSettings,
    signals::Signals,
};

/// Prints until a signal or the end of the session; the result is the exit code.
///
/// # Errors
/// Signals cannot be caught.
pub(crate) async fn tail(settings: OneShotSettings) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let json = settings.json;
    let session = tokio::select! {
        biased;
        () = signals.first().cancelled() => return Ok(0),
        session = super::come_online(settings, Slot::Tail, &signals) => session,
    };
    let mut session = match session {
        Ok(session) => session,
        Err(stop) => return stopped(stop, json),
    };
    match follow(&mut session, json, &signals).await {
        Ok(code) => Ok(code),
        Err(_) => {
            // Nobody reads any more; whoever else is online should see that this one has gone.
            session.close().await;
            Ok(0)
        }
    }
}

async fn follow(session: &mut Session, json: bool, signals: &Signals) -> io::Result<u8> {
    let Session { client, events, welcome, server } = session;
    let mut leaving = false;
    if welcome.damaged {
        tell(text::OUTBOX_DAMAGED, json)?;
    }
    loop {
        let event = tokio::select! {
            biased;
            () = signals.first().cancelled(), if !leaving => {
                leaving = true;
                client.logout().await;
                continue;
            }
            event = events.next() => event,
        };
        match event {
            None | Some(Event::Ended(End::LoggedOut { .. })) => return Ok(0),
            Some(Event::Ended(end)) => {
                let (words, code) = text::end(&end);
                tell(&words, json)?;
                return Ok(code);
            }
            Some(Event::FirstContact(fingerprint)) => met(server, &fingerprint),
            Some(event) => {
                say(&if json { json_line(&event) } else { plain_line(&event) })?;
                if let Event::Message(message) = event {
                    client.shown(message.stream, message.seq);
                }
            }
        }
    }
}

/// What a person reads of it.
pub(super) fn plain_line(event: &Event) -> String {
    match event {
        Event::Message(message) => text::message(&message.sender, &message.text),
        Event::Presence { user, online } => text::presence(user, *online),
        Event::Disconnected => text::DISCONNECTED.to_owned(),
        Event::Reconnected => text::RECONNECTED.to_owned(),
        Event::Trouble(trouble) => text::trouble(*trouble).to_owned(),
        Event::Answer { command, answer, .. } => line::judged(command, answer),
        Event::Peer(_) | Event::Aside { .. } | Event::FirstContact(_) | Event::Ended(_) => String::new(),
    }
}

/// One object; nothing for what only a person would want to know.
pub(super) fn json_line(event: &Event) -> String {
    let object = match event {
        Event::Message(Message { stream, seq, sender, text, sent_ms }) => {
            let stream = if *stream == Stream::Broadcast { "broadcast" } else { "inbox" };
            json!({
                "type": "message", "sender": sender, "text": text, "stream": stream, "seq": seq, "sent_ms": sent_ms
            })
        }
        Event::Presence { user, online } => json!({ "type": "presence", "user": user, "online": online }),
        Event::Disconnected => json!({ "type": "connection", "connected": false }),
        Event::Reconnected => json!({ "type": "connection", "connected": true }),
        Event::Answer { .. }
        | Event::Aside { .. }
        | Event::Peer(_)
        | Event::Trouble(_)
        | Event::FirstContact(_)
        | Event::Ended(_) => {
            return String::new();
        }
    };
    json::line(&object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Event {
        let (sender, text) = ("hans".to_owned(), text.to_owned());
        Event::Message(Message { stream: Stream::Inbox, seq: 3, sender, text, sent_ms: 5 })
    }

    #[test]
    fn a_line_is_one_object() {
        let line = json_line(&message("hi \"you\"\nthere\u{9b}2J \u{202e} €"));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains(['\u{9b}', '\u{202e}']), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let text = "hi \"you\"\nthere\u{9b}2J \u{202e} €";
        let expected =
            json!({"type":"message","sender":"hans","text":text,"stream":"inbox","seq":3,"sent_ms":5});
        assert_eq!(read, expected);
        let presence = json_line(&Event::Presence { user: "bob".to_owned(), online: true });
        let read: serde_json::Value = serde_json::from_str(&presence).expect("JSON");
        assert_eq!(read, json!({"type":"presence","user":"bob","online":true}));
    }

    #[test]
    fn plain_lines_are_those_of_a_chat() {
        assert_eq!(plain_line(&message("hi\nthere")), "hans: hi\n  there\n");
    }
}
