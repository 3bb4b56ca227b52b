//! Puts the files of `drills/` into the binary.
use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or("run by cargo")?;
    let drills = Path::new(&root).join("../../drills");
    list(&drills, "drills.rs")?;
    list(&drills.join("lab"), "lab.rs")
}

/// Name and text of each `*.toml` of a folder, as a constant in a file of its own.
fn list(folder: &Path, list: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path().canonicalize()?;
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.file_name().ok_or("a file has a name")?;
        writeln!(text, "    ({name:?}, include_str!({file:?})),")?;
    }
    text.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or("run by cargo")?;
    fs::write(Path::new(&out).join(list), text)?;
    Ok(())
}
