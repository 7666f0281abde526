//! Reads folders and files once, as the source would read them from one folder: for `waggle validate`. Writes and logs nothing.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    allocate::{Allocations, Ranges},
    assemble,
    content::Content,
    decode::Identity,
    diff::{self, Objects},
    folder::{self, Folder},
    lines::Lines,
};
pub(crate) use super::{ignored::Ignored, refusal::Refusal};
use crate::objects::{Event, ObjectRef};

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// A folder or file can't be read.
#[derive(Debug, thiserror::Error)]
#[error("read manifests {} (name folders, files, or - for standard input)", path.display())]
pub(crate) struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// The content of folders and files.
#[derive(Debug)]
pub(crate) struct Listing {
    /// How many files there are.
    pub files: usize,
    /// The objects that the source would report.
    pub objects: Objects,
    /// The files and objects that are refused.
    pub refusals: Vec<Refusal>,
    /// Objects of kinds that a folder does not serve.
    pub ignored: Vec<Ignored>,
    /// The files of valid objects, also of those that are not reported, and their lines.
    origins: HashMap<Identity, (Arc<Path>, Lines)>,
}

impl Listing {
    /// Reads `paths`, which together count as one folder. Addresses and ports are allocated from these ranges, as at a first start.
    pub(crate) fn read(
        paths: &[PathBuf],
        (cidrs, node_ports): (Vec<IpNet>, RangeInclusive<u16>),
        node_name: &str,
    ) -> Result<Self, ReadError> {
        let (mut contents, mut refusals) = (BTreeMap::new(), Vec::new());
        for path in paths {
            let error = |source| ReadError { path: path.clone(), source };
            if path.is_dir() {
                let mut folder = Folder::new(path.clone());
                folder.rescan().map_err(error)?;
                let (files, faults) = folder.into_parts();
                contents.extend(files);
                refusals.extend(faults);
            } else {
                let path = Arc::from(path.as_path());
                let content = read_file(&path).map_err(error)?;
                contents.insert(
                    path,
                    content.unwrap_or_else(|refusal| {
                        refusals.push(refusal);
                        Content::default()
                    }),
                );
            }
        }
        Ok(Self::assemble(&contents, refusals, &Ranges { cidrs, node_ports }, node_name))
    }

    fn assemble(
        contents: &BTreeMap<Arc<Path>, Content>,
        mut refusals: Vec<Refusal>,
        ranges: &Ranges,
        node_name: &str,
    ) -> Self {
        let assembled = assemble::assemble(contents.values(), ranges, node_name, &Allocations::default());
        refusals.extend(assembled.refusals);
        let mut origins = HashMap::new();
        for found in contents.values().flat_map(|content| &content.objects) {
            let origin = || (Arc::clone(&found.file), found.lines.clone());
            origins.entry(found.identity.clone()).or_insert_with(origin);
        }
        let ignored = contents.values().flat_map(|content| content.ignored.iter().cloned()).collect();
        Self { files: contents.len(), objects: assembled.objects, refusals, ignored, origins }
    }

    /// Returns the events by which the source would report the objects.
    pub(crate) fn events(&self) -> Vec<Event> {
        diff::all(&self.objects).into_iter().map(Event::from).collect()
    }

    /// Returns the file and line of an object's field, or of the object where the field's line is not known. `None` if no file has
    /// the object.
    pub(crate) fn origin(&self, object: &ObjectRef, field: &str) -> Option<(&Path, u64)> {
        let (kind, namespace, name) = (object.kind.to_string(), object.namespace.clone(), object.name.clone());
        let (file, lines) = self.origins.get(&Identity { kind, namespace, name })?;
        Some((file, lines.line_of(field)))
    }
}

/// Reads one file, whatever its name. Returns a refusal if its text can't be read.
fn read_file(path: &Arc<Path>) -> io::Result<Result<Content, Refusal>> {
    let text = if **path == *Path::new(STANDARD_INPUT) {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        text
    } else {
        fs::read(path)?
    };
    let refuse = |(line, reason)| Refusal {
        file: path.to_path_buf(),
        line,
        object: String::new(),
        field: String::new(),
        reason,
    };
    Ok(folder::content(path, text).map_err(refuse))
}
