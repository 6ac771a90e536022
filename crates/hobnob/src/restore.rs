//! `hobnob restore`: a server's folder from a backup.

use std::path::Path;

use hobnob_server::store::sqlite::backup;

use crate::{
    backup::{Failure, now_ms, text},
    config::AdminSettings,
    output,
};

/// Restores it; the result is the exit code. One that is torn off is begun anew by the next.
///
/// # Errors
/// What is to be printed cannot be.
pub(crate) fn run(settings: &AdminSettings, file: &Path) -> anyhow::Result<u8> {
    let (data, json) = (&settings.data, settings.json);
    let summary = match backup::restore(file, data, now_ms()) {
        Ok(summary) => summary,
        Err(error) => return Ok(text::tell_failure(json, &Failure::Backup(error))),
    };
    let findings = &summary.report.findings;
    text::tell_findings(json, findings);
    output::write(&if json { text::restored_json(data, &summary) } else { text::restored(data, &summary) })?;
    Ok(if findings.is_empty() { text::DONE } else { text::REFUSED })
}
