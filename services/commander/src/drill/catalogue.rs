//! All drills there are: those built in, or those of a folder. What is wrong with a file is said with
//! its name and line.
use super::file::Drill;
use anyhow::{Context as _, ensure};
use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::{fmt, fs, path::Path};

/// Name and text of each file of `drills/`, as of the build.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/drills.rs"));

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Flaw {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Flaw {}

/// All drills, by name.
#[derive(Clone, Debug)]
pub struct Catalogue(Vec<Drill>);

impl Catalogue {
    /// Those of a folder, or the built-in ones.
    ///
    /// # Errors
    /// When a file can't be read or isn't a drill.
    pub fn load(folder: Option<&Path>) -> anyhow::Result<Self> {
        let (drills, flaws) = Self::check(folder)?;
        match flaws.into_iter().next() {
            Some(flaw) => Err(flaw.into()),
            None => Ok(drills),
        }
    }

    /// The good ones, and everything that is wrong with the others.
    ///
    /// # Errors
    /// When a file can't be read, or there is none.
    pub fn check(folder: Option<&Path>) -> anyhow::Result<(Self, Vec<Flaw>)> {
        let files = match folder {
            Some(folder) => read(folder)?,
            None => {
                let own =
                    |(name, text): &(&str, &str)| (format!("drills/{name}"), (*text).to_owned());
                BUILT_IN.iter().map(own).collect()
            }
        };
        let (mut drills, mut flaws) = (Vec::new(), Vec::new());
        for (file, text) in &files {
            match parse(file, text) {
                Ok(drill) => drills.push(drill),
                Err(flaw) => flaws.push(flaw),
            }
        }
        drills.sort_by(|a: &Drill, b| a.name.cmp(&b.name));
        Ok((Self(drills), flaws))
    }

    pub fn all(&self) -> &[Drill] {
        &self.0
    }

    /// Those that must pass before a release.
    pub fn gate(&self) -> impl Iterator<Item = &Drill> {
        self.0.iter().filter(|drill| drill.gate)
    }

    pub fn get(&self, name: &str) -> Option<&Drill> {
        self.0.iter().find(|drill| *drill.name == *name)
    }

    /// One of them; the seed decides which.
    pub fn draw(&self, seed: u64) -> Option<&Drill> {
        self.0.choose(&mut StdRng::seed_from_u64(seed))
    }
}

fn read(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let file = path.display().to_string();
            let text = fs::read_to_string(&path).with_context(|| file.clone())?;
            files.push((file, text));
        }
    }
    ensure!(
        !files.is_empty(),
        "{}: no drills (*.toml)",
        folder.display()
    );
    Ok(files)
}

/// Reads the text of one file.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(file: &str, text: &str) -> Result<Drill, Flaw> {
    let drill: Drill = toml::from_str(text).map_err(|error| flaw(file, text, &error))?;
    let flaw = |at: usize, message: String| Flaw {
        file: file.to_owned(),
        line: line(text, at),
        message,
    };
    let at = |key: &str| match text.starts_with(key) {
        true => 0,
        false => text.find(&format!("\n{key}")).map_or(0, |at| at + 1),
    };
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    if stem != Some(&drill.name) {
        let message = format!("`name` is {}, and the file is not", drill.name);
        return Err(flaw(at("name"), message));
    }
    if !drill.pass.judges() {
        return Err(flaw(
            at("[pass]"),
            "a drill without a pass mark can't fail".to_owned(),
        ));
    }
    Ok(drill)
}

/// What TOML's reader found wrong.
pub fn flaw(file: &str, text: &str, error: &toml::de::Error) -> Flaw {
    Flaw {
        file: file.to_owned(),
        line: line(text, error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', " "),
    }
}

/// Of a place in a text, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}
