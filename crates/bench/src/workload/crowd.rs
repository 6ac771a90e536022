//! W6: messages to many users who are offline, with much stored already, so that no inbox is warm in any cache.

use crate::{
    account,
    args::{Common, Crowd},
    crew::Crew,
    database::Ballast,
    report::Line,
    server::{Data, Server},
};

use super::offline::{Burst, send_and_finish};

/// Fills the database and sends.
pub(crate) async fn run(common: &Common, args: &Crowd) -> anyhow::Result<Line> {
    let senders = account::make("sender", args.senders as usize)?;
    let recipients = u64::from(args.recipients);
    let ballast = Ballast { accounts: recipients, messages: args.stored, text_bytes: common.text_bytes };
    let data = Data::make(common, &senders, ballast).await?;
    let most = (args.stored + u64::from(args.messages) * senders.len() as u64).to_string();
    let settings = [("inbox-messages", &*most), ("inbox-per-sender", &most), ("inbox-bytes", "1000MiB")];
    let server = Server::on(common, data, &settings, None).await?;
    let burst = Burst {
        count: u64::from(args.messages),
        in_flight: u64::from(args.in_flight),
        text_bytes: common.text_bytes,
    };
    let mut crew = Crew::new(server.target.clone());
    for (seed, sender) in (1..).zip(&senders) {
        let mut chance = Chance(seed);
        let to = move |_| Ballast::name(chance.below(recipients));
        crew.enlist(sender.clone(), move |chatter, stage| burst.send(chatter, stage, to));
    }
    let (sending, ack) = send_and_finish(crew, &server).await?;
    let memory = server.memory()?;
    server.stop().await?;
    let million = sending.acked as f64 / 1e6;
    Ok(Line {
        workload: format!("offline, {recipients} recipients, {} stored", args.stored),
        subject: common.subject(),
        sessions: senders.len(),
        acked: Some(sending.acked as f64 / sending.seconds),
        ack,
        server_cpu: Some(sending.server_cpu / million),
        own_cpu: Some(sending.own_cpu / million),
        note: format!("{}; server RSS {} KiB at the end", sending.shares(), memory.rss_kib),
        ..Line::default()
    })
}

/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
