// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Build script: puts the files of `sql/` into the program, so that a new analysis is a new file and no Rust.

#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let sql = root.join("sql");
    println!("cargo::rerun-if-changed={}", sql.display());
    let mut list = String::from("&[\n");
    for department in sorted(&sql)?.into_iter().filter(|p| p.is_dir()) {
        println!("cargo::rerun-if-changed={}", department.display());
        for file in
            sorted(&department)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "sql"))
        {
            let _ = writeln!(
                list,
                "    File {{ department: {:?}, name: {:?}, text: include_str!({:?}) }},",
                stem(&department),
                stem(&file),
                file.display().to_string()
            );
        }
    }
    list.push(']');
    // Put in place whole: a compiler may be reading the one before.
    let library = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?).join("library.rs");
    fs::write(library.with_extension("new"), list)?;
    fs::rename(library.with_extension("new"), library)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}
