// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! `comptoir user add NAME` and `comptoir user token NAME`: somebody new in `comptoir.toml`. The password is not kept,
//! only its Argon2 hash; nor is the token.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHasher};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{settings, ticket};
use crate::error::{Error, Result};
use crate::sink::StagedFile;

/// The shortest password that is taken.
const SHORTEST: usize = 8;

/// Who is added.
#[derive(Clone, Debug, clap::Args)]
pub struct NewUser {
    /// The name to log in with
    pub name: String,
    /// What they may change: reader, writer or admin
    #[arg(long, default_value = "reader")]
    pub rights: String,
    /// Their role in the privacy policy; the rights' name when it is left out
    #[arg(long)]
    pub role: Option<String>,
}

/// Adds a user with a password, which is asked for, or read from the standard input when that is no terminal.
pub fn add(file: &Path, user: &NewUser) -> Result<()> {
    let password = if std::io::stdin().is_terminal() {
        let ask = |prompt: &str| rpassword::prompt_password(prompt).map_err(Error::from);
        let password = ask(&format!("Password of {}: ", user.name))?;
        if ask("Once more: ")? != password {
            return Err(Error::usage("the two passwords differ"));
        }
        password
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_string()
    };
    if password.chars().count() < SHORTEST {
        return Err(Error::usage(format!("a password has at least {SHORTEST} characters")));
    }
    write(file, "users", user, &format!("password = \"{}\"", hash(&password)?))
}

/// Adds a service, and gives its token, which is shown this once.
pub fn token(file: &Path, user: &NewUser) -> Result<String> {
    let token = BASE64_URL_SAFE_NO_PAD.encode(ticket::random::<32>()?);
    let hash: String = Sha256::digest(&token).iter().map(|b| format!("{b:02x}")).collect();
    write(file, "tokens", user, &format!("sha256 = \"{hash}\""))?;
    Ok(token)
}

/// The Argon2id hash of a password, with a salt of its own.
pub(super) fn hash(password: &str) -> Result<String> {
    let failed = |e: argon2::password_hash::Error| Error::usage(format!("cannot hash: {e}"));
    let salt = SaltString::encode_b64(&ticket::random::<16>()?).map_err(failed)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

/// Adds a section at the end: everything above it stays as it was written.
fn write(file: &Path, section: &str, user: &NewUser, secret: &str) -> Result<()> {
    settings::rights(&user.rights)?;
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.@ ".contains(c))
    };
    for name in [Some(&user.name), user.role.as_ref()].into_iter().flatten() {
        if !plain(name) {
            return Err(Error::usage(format!("`{name}` is not a name: letters, digits, `_-.@`")));
        }
    }
    let mut text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Error::usage(format!("cannot read `{}`: {e}", file.display()))),
    };
    let config: toml::Table = toml::from_str(&text)
        .map_err(|e| Error::usage(format!("`{}`: {}", file.display(), e.message())))?;
    if config.get(section).and_then(|s| s.get(&user.name)).is_some() {
        return Err(Error::usage(format!("[{section}.{}] is there already", user.name))
            .hint(format!("take it out of `{}` first", file.display())));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!(
        "\n[{section}.\"{}\"]\n{secret}\nrights = \"{}\"\n",
        user.name, user.rights
    ));
    if let Some(role) = &user.role {
        text.push_str(&format!("role = \"{role}\"\n"));
    }
    let mut staged = StagedFile::create(file)?;
    staged.write_all(text.as_bytes())?;
    // Who could read the file may go on, and a new one is nobody else's business.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).map_or(0o600, |m| m.permissions().mode());
        staged.file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    staged.publish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_added_is_read_again_and_the_rest_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("comptoir.toml");
        std::fs::write(&file, "# ours\nthreads = 2").expect("is written");
        let user = |name: &str| NewUser { name: name.into(), rights: "writer".into(), role: None };
        let token = token(&file, &user("superset")).expect("is added");
        assert!(super::token(&file, &user("superset")).is_err(), "twice");
        assert!(super::token(&file, &user("a\"]\n[x")).is_err(), "no name");
        let text = std::fs::read_to_string(&file).expect("is read");
        assert!(text.starts_with("# ours\nthreads = 2\n") && !text.contains(&token), "{text}");
        let config = Config::parse(&text, folder.path()).expect("parses");
        let settings = settings::Settings::read(&config, &Default::default()).expect("reads");
        let hash: [u8; 32] = Sha256::digest(&token).into();
        assert_eq!(settings.tokens[0].hash, hash);
        assert_eq!(settings.tokens[0].who.rights.word(), "writer");
    }

    #[test]
    fn a_password_has_a_new_salt_every_time() {
        let (one, two) =
            (hash("correct horse").expect("hashes"), hash("correct horse").expect("hashes"));
        assert!(one.starts_with("$argon2id$") && one != two);
    }
}
