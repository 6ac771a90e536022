//! Why a connection is closed: the code and reason of the WebSocket close frame.

/// A reason to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// The client speaks a version that the server does not.
    UnsupportedVersion = 4000,
    /// A frame that is no `ClientFrame`, or one that may not come now.
    BadFrame = 4001,
    /// A frame larger than the limit.
    TooLarge = 4002,
    /// Nobody logged in for too long, or after too many frames.
    LoginTimeout = 4003,
    /// The client does not read what it is sent.
    SlowConsumer = 4004,
    /// The user logged in elsewhere.
    Replaced = 4005,
    /// The user did nothing for longer than the server allows.
    Idle = 4006,
    /// The server is shutting down or restarting.
    GoingAway = 4007,
    /// Too many connections or tries from this address.
    TooMany = 4008,
    /// The password was changed.
    PasswordChanged = 4009,
    /// The session was logged out.
    LoggedOut = 4010,
    /// The client did not answer a ping.
    Unresponsive = 4011,
    /// The server failed; its log says why.
    Internal = 4012,
    /// The server's keeper ended the session.
    Kicked = 4013,
}

impl Close {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::UnsupportedVersion,
        Self::BadFrame,
        Self::TooLarge,
        Self::LoginTimeout,
        Self::SlowConsumer,
        Self::Replaced,
        Self::Idle,
        Self::GoingAway,
        Self::TooMany,
        Self::PasswordChanged,
        Self::LoggedOut,
        Self::Unresponsive,
        Self::Internal,
        Self::Kicked,
    ];

    /// The code in the close frame.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason for a code, if it is one of these.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|close| close.code() == code)
    }

    /// The text in the close frame, for whoever reads a capture or writes a client.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnsupportedVersion => "unsupported protocol version, this server speaks 1",
            Self::BadFrame => "bad frame",
            Self::TooLarge => "frame too large",
            Self::LoginTimeout => "no login in time",
            Self::SlowConsumer => "slow consumer",
            Self::Replaced => "logged in elsewhere",
            Self::Idle => "logged out for inactivity",
            Self::GoingAway => "server is going away",
            Self::TooMany => "too many connections or tries from this address",
            Self::PasswordChanged => "password changed",
            Self::LoggedOut => "logged out",
            Self::Unresponsive => "no answer to a ping",
            Self::Internal => "internal error",
            Self::Kicked => "ended by the server's keeper",
        }
    }

    /// Whether the client may connect again and resume.
    #[must_use]
    pub fn may_reconnect(self) -> bool {
        matches!(
            self,
            Self::LoginTimeout
                | Self::SlowConsumer
                | Self::GoingAway
                | Self::TooMany
                | Self::Unresponsive
                | Self::Internal
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_round_trip() {
        for close in Close::ALL {
            assert_eq!(Close::from_code(close.code()), Some(close));
            assert!(close.reason().len() <= 123, "a close reason has at most 123 bytes");
        }
        assert_eq!(Close::from_code(1000), None);
    }
}
