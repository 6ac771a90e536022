//! `hobnob verify`: whether a store, or a backup, is whole.

use std::path::Path;

use hobnob_server::store::sqlite::{
    backup::{self, BackupError, Summary},
    verify::Report,
};

use crate::{
    backup::{Failure, text},
    config::AdminSettings,
    output,
};

/// Looks; the result is the exit code.
///
/// # Errors
/// What is to be printed cannot be.
pub(crate) fn run(settings: &AdminSettings, file: Option<&Path>) -> anyhow::Result<u8> {
    let json = settings.json;
    let looked = match file {
        Some(file) => of_file(file),
        None => backup::verify_folder(&settings.data).map(|report| (report, None)),
    };
    let (report, summary) = match looked {
        Ok(found) => found,
        Err(error) => return Ok(text::tell_failure(json, &Failure::Backup(error))),
    };
    text::tell_findings(json, &report.findings);
    let path = file.unwrap_or(&settings.data);
    let tell = if json { text::verified_json } else { text::verified };
    output::write(&tell(path, &report, summary.as_ref()))?;
    Ok(if report.is_good() { text::DONE } else { text::REFUSED })
}

/// A backup says more about itself than a store that is named by its file.
fn of_file(file: &Path) -> Result<(Report, Option<Summary>), BackupError> {
    if !backup::is_backup(file)? {
        return Ok((backup::verify_file(file)?, None));
    }
    let summary = backup::inspect(file)?;
    Ok((summary.report.clone(), Some(summary)))
}
