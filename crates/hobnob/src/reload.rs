//! Reading the settings of a running server again: everything is checked first, and with any mistake nothing changes.

use std::{fs::File, path::PathBuf, sync::Arc};

use hobnob_server::{
    admin::wire::{Done, Reason, Refused},
    config::Tls,
    control::Control,
    identity::Identity,
};

use crate::{
    args::Again,
    config::{ServeSettings, TlsSource},
    log::{self, Logs},
    serve,
};

/// What a reload needs.
pub(crate) struct Reloader {
    again: Arc<Again>,
    /// In force now.
    settings: ServeSettings,
    control: Control,
    logs: Logs,
}

/// All that was read, checked, and not in force yet.
struct Read {
    file: Option<PathBuf>,
    settings: ServeSettings,
    changed: Vec<&'static str>,
    needs_restart: Vec<&'static str>,
    /// `None`: the certificate stays.
    identity: Option<Identity>,
    security_log: Option<File>,
}

impl Reloader {
    pub(crate) fn new(again: Again, settings: ServeSettings, control: Control, logs: Logs) -> Self {
        Self { again: Arc::new(again), settings, control, logs }
    }

    /// Reads everything again, and says in the log what came of it.
    ///
    /// # Errors
    /// All that is wrong; nothing has changed.
    pub(crate) async fn reload(&mut self) -> Result<Done, Refused> {
        let (again, old, control) = (self.again.clone(), self.settings.clone(), self.control.clone());
        let read = tokio::task::spawn_blocking(move || read(&again, &old, &control)).await;
        let read = read.unwrap_or_else(|_| Err(vec!["reading the settings failed".to_owned()]));
        match read {
            Ok(read) => Ok(self.put_in_force(read)),
            Err(mistakes) => {
                for mistake in &mistakes {
                    tracing::error!("not reloaded, nothing has changed: {mistake}");
                }
                let text = "Nothing has changed, this needs to be put right first:";
                Err(Refused { mistakes, ..Refused::new(Reason::SettingsRefused, text) })
            }
        }
    }

    fn put_in_force(&mut self, read: Read) -> Done {
        let Read { file, settings, changed, needs_restart, identity, security_log } = read;
        let file = file.map(|file| file.display().to_string());
        if let Some(identity) = identity {
            let key = identity.fingerprint();
            self.control.set_identity(identity);
            tracing::info!(%key, "another certificate is shown from now on");
        }
        self.control.set_policy(serve::policy(&settings), serve::relay_policy(&settings));
        self.logs.set_security(security_log);
        let shown = |names: &[&str]| (!names.is_empty()).then(|| names.join(", "));
        let (is, later) = (shown(&changed), shown(&needs_restart));
        let read = file.as_deref().unwrap_or("none");
        match (is, later) {
            (None, None) => tracing::info!(file = read, "reloaded, nothing has changed"),
            (is, None) => tracing::info!(file = read, changed = is, "reloaded"),
            (is, later) => tracing::warn!(
                file = read,
                changed = is,
                needs_restart = later,
                "reloaded, but some of it needs a restart"
            ),
        }
        if file.is_none() {
            tracing::info!(
                "there is no file of settings to read again (--config), only certificate and log files"
            );
        }
        self.logs.set_filter(&settings.log);
        self.settings = settings;
        let owned = |names: Vec<&str>| Some(names.into_iter().map(str::to_owned).collect());
        Done { changed: owned(changed), needs_restart: owned(needs_restart), file, ..Done::default() }
    }
}

/// Reads and checks everything, and reports all that is wrong.
fn read(again: &Again, old: &ServeSettings, control: &Control) -> Result<Read, Vec<String>> {
    let (file, settings) = again.read();
    let settings = settings.map_err(crate::config::Mistakes::into_list)?;
    let (settings, mut changed, needs_restart) = settings.in_place_of(old);
    let mut mistakes = Vec::new();
    let identity = match &settings.tls {
        // Made once, and nobody's to replace.
        TlsSource::SelfSigned | TlsSource::Off if settings.tls == old.tls => None,
        tls => match control.read_identity(&Tls::from(tls.clone())) {
            Ok(identity) => Some(identity).filter(|identity| control.is_other_certificate(identity)),
            Err(error) => {
                mistakes.push(error.to_string());
                None
            }
        },
    };
    if identity.is_some() {
        changed.push("certificate");
    }
    let security_log = match settings.security_log.as_deref().map(|path| (path, log::security::open(path))) {
        Some((path, Err(error))) => {
            mistakes.push(format!("security-log: {}: {error}", path.display()));
            None
        }
        Some((_, Ok(file))) => Some(file),
        None => None,
    };
    match mistakes.is_empty() {
        true => Ok(Read { file, settings, changed, needs_restart, identity, security_log }),
        false => Err(mistakes),
    }
}
