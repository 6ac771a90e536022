//! Small things about files that folder, outbox and cursor share.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ring::digest;

/// Bytes of a [`checksum`].
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// Tells a record that was written whole from one that a crash cut off.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref()[..CHECKSUM_BYTES].try_into().expect("SHA-256 has 32 bytes")
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// In lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder and those above it, for the owner alone. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The same, and one that is there becomes the owner's alone.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    make_folder(path)?;
    if path.metadata()?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// How files are opened here: to read and write, made for the owner alone.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Puts a file in place as a whole: after a crash there is the old one or the new one, durably.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut file = options().create(true).truncate(true).open(&beside)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}
