// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The first bytes of a file, held against its name.
//!
//! A Parquet file called `.csv` would otherwise be read as text and fail with a riddle.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::discover::{DataFile, shown};
use super::files;
use super::options::{Compression, Format};
use crate::error::{Error, Result};

/// Fails when a file cannot be what its name or the options say.
pub(super) fn check(file: &DataFile) -> Result<()> {
    let name = shown(&file.path);
    let mut head = [0; 8];
    let length = read_head(&file.path, &mut head)?;
    let head = &head[..length];
    if head.is_empty() {
        let error = Error::usage(format!("`{name}` is empty (0 bytes)"));
        return Err(error
            .hint("write it again, or remove it; a CSV file without rows keeps its header line"));
    }
    if let Some(real) = format_of(head) {
        if real != file.format || file.compression != Compression::None {
            return Err(mistaken(
                &name,
                real.name(),
                &format!("format={}", real.name().to_lowercase()),
            ));
        }
        return Ok(());
    }
    let packed = compression_of(head);
    match file.format {
        Format::Parquet => {
            let error = Error::usage(format!(
                "`{name}` is not a Parquet file: it does not begin with `PAR1`"
            ));
            Err(error.hint("was it copied whole, and does its name end as it should"))
        }
        Format::Csv | Format::Json if packed != file.compression => match packed {
            Compression::None => {
                let error = format!("`{name}` is not packed as {}", file.compression.name());
                Err(Error::usage(error).hint("say `compression=none`"))
            }
            packed => {
                Err(mistaken(&name, packed.name(), &format!("compression={}", packed.name())))
            }
        },
        // An Arrow stream begins with a length and has no magic of its own.
        Format::Csv | Format::Json | Format::Arrow => Ok(()),
    }
}

/// The error for a file that could not be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    // A store's error has been told already.
    if let Some(told) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return told.clone();
    }
    let name = shown(path);
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let error = Error::usage(format!("you may not read `{name}`"));
            error.hint(format!("`chmod u+r '{name}'` gives its owner leave to"))
        }
        ErrorKind::NotFound => super::discover::missing(path),
        ErrorKind::UnexpectedEof => {
            let error =
                Error::usage(format!("`{name}` breaks off in the middle of its compressed data"));
            error.hint("copy it again; the whole file is needed to unpack its end")
        }
        _ => Error::usage(format!("`{name}` cannot be read: {error}")),
    }
}

fn read_head(path: &Path, head: &mut [u8]) -> Result<usize> {
    let mut file = files::open(path)?;
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..]).map_err(|error| unreadable(path, &error))? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

fn format_of(head: &[u8]) -> Option<Format> {
    match head {
        [b'P', b'A', b'R', b'1', ..] => Some(Format::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Format::Arrow),
        _ => None,
    }
}

fn compression_of(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zst,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Compression::Bz2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

fn mistaken(name: &str, real: &str, option: &str) -> Error {
    let option = option.replace(" ipc", "");
    let error = Error::usage(format!("`{name}` holds {real} data, which its name does not say"));
    error.hint(format!("rename it, or say `{option}`"))
}
