//! Questions that are short, and whose answers are not.

use hobnob_protocol::v1::{self, client_frame::Body, reply};
use hobnob_server::config::Policy;
use tokio::time::{Duration, Instant};

use crate::support::TestServer;

/// Each of these may have to look through all accounts.
#[tokio::test(start_paused = true)]
async fn who_asks_again_and_again_who_was_there_is_read_slowly() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let start = Instant::now();
    for _ in 0..200 {
        let since = Body::WhoElseSince(v1::WhoElseSince { seconds: u64::MAX });
        assert!(matches!(hans.request(since).await, reply::Body::Names(_)));
    }
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
}
