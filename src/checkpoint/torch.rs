//! What `torch.save` writes: since version 1.6 a zip archive of a pickle and one record a storage,
//! before that five pickles followed by the storages.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use burn::tensor::DType;
use zip::{CompressionMethod, ZipArchive};

use super::entry::{Entry, TensorInfo};
use super::pickle::{MAX_PROGRAM, Unpickled, unpickle};
use super::pickled::{Node, StoredTensor, Value};
use super::source::Source;
use crate::error::Result;

/// How deep dicts may nest before a tensor is reached.
const MAX_DEPTH: usize = 16;

/// How many times larger than the program all names together may get: a dict can be referred to
/// from many places, and so a small program can describe an endless tree.
const MAX_NAMES: usize = 16;

/// The magic number in the first pickle of a file from before version 1.6.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether a file that begins with `head` is a zip archive.
pub(super) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04")
}

/// Whether a file that begins with `head` is of the form before version 1.6: a protocol, an
/// integer of ten bytes, the magic number.
pub(super) fn is_legacy(head: &[u8]) -> bool {
    head.first() == Some(&0x80)
        && head.get(2..4) == Some(&[0x8a, 10])
        && head.get(4..14) == Some(&LEGACY_MAGIC)
}

/// The tensors of an archive, none of them read.
pub(super) fn archive_entries(source: &Arc<Source>) -> Result<BTreeMap<String, Entry>> {
    let damaged = |reason: String| source.error(format!("damaged PyTorch archive: {reason}"));
    let records = records(source).map_err(damaged)?;
    let program =
        records.iter().find_map(|(name, range)| Some((name.strip_suffix("data.pkl")?, *range)));
    let (prefix, (start, end)) =
        program.ok_or_else(|| source.error("a zip archive, but none that torch.save wrote"))?;
    if let Some(&(start, end)) = records.get(&format!("{prefix}byteorder")) {
        let mut order = vec![0; (end - start).min(16) as usize];
        source.read_at(start, &mut order)?;
        if order != b"little" {
            return Err(source.error("written on a big-endian machine; save it on another"));
        }
    }
    if end - start > MAX_PROGRAM as u64 {
        return Err(damaged(format!(
            "its pickle takes {} bytes, more than {MAX_PROGRAM}",
            end - start
        )));
    }
    let mut program = vec![0; (end - start) as usize];
    source.read_at(start, &mut program)?;
    let storage = |key: &str| records.get(&format!("{prefix}data/{key}")).copied();
    let unpickled = unpickle(&program).map_err(|error| refused(source, &error))?;
    located(source, &unpickled, storage).map_err(damaged)
}

/// The tensors of a file from before version 1.6, none of them read.
pub(super) fn legacy_entries(source: &Arc<Source>) -> Result<BTreeMap<String, Entry>> {
    let damaged = |reason: String| source.error(format!("damaged PyTorch file: {reason}"));
    let head = source.head(MAX_PROGRAM)?;
    let mut at = 0;
    let mut next = || {
        let unpickled = unpickle(&head[at..]).map_err(|error| refused(source, &error))?;
        at += unpickled.length;
        Ok(unpickled)
    };
    // Magic number, version, and the sizes of C types on the machine that wrote it.
    for _ in 0..3 {
        next()?;
    }
    let object = next()?;
    let keys = next()?;
    let storages = legacy_storages(source, &object, &keys, at as u64).map_err(damaged)?;
    located(source, &object, |key| storages.get(key).copied()).map_err(damaged)
}

/// Byte ranges of the storages that follow the pickles, each behind its number of elements.
fn legacy_storages(
    source: &Source,
    object: &Unpickled<'_>,
    keys: &Unpickled<'_>,
    mut at: u64,
) -> Result<HashMap<String, (u64, u64)>, String> {
    let dtypes: HashMap<&str, DType> = object
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Storage(storage) => Some((storage.key, storage.dtype)),
            _ => None,
        })
        .collect();
    let keys = match keys.root {
        Value::Node(index) if let Node::List(keys) = &keys.nodes[index] => keys,
        _ => return Err("no list of its storages".to_string()),
    };
    let mut storages = HashMap::new();
    for key in keys {
        let Value::Text(key) = *key else { return Err("a storage without a name".to_string()) };
        let dtype = dtypes.get(key).ok_or_else(|| format!("no tensor uses storage {key}"))?;
        let mut elements = [0; 8];
        source.read_at(at, &mut elements).map_err(|error| error.to_string())?;
        let start = at + 8;
        at = u64::from_le_bytes(elements)
            .checked_mul(dtype.size() as u64)
            .and_then(|bytes| start.checked_add(bytes))
            .filter(|&end| end <= source.len())
            .ok_or_else(|| format!("cut short in storage {key}"))?;
        storages.insert(key.to_string(), (start, at));
    }
    Ok(storages)
}

fn refused(source: &Source, error: &str) -> crate::Error {
    source.error(format!("cannot be read as a PyTorch state dict: {error}"))
}

/// The byte ranges of an archive's records.
fn records(source: &Arc<Source>) -> Result<BTreeMap<String, (u64, u64)>, String> {
    let reader = BufReader::new(Reader { source: source.clone(), at: 0 });
    let mut archive = ZipArchive::new(reader).map_err(|error| error.to_string())?;
    let mut records = BTreeMap::new();
    for index in 0..archive.len() {
        let record = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        let name = record.name().map_err(|error| error.to_string())?.into_owned();
        if record.compression() != CompressionMethod::Stored || record.encrypted() {
            return Err(format!(
                "record {name} is compressed or encrypted; save it with torch.save"
            ));
        }
        let end = record.data_start().and_then(|start| start.checked_add(record.size()));
        match (record.data_start(), end) {
            (Some(start), Some(end)) if end <= source.len() => records.insert(name, (start, end)),
            _ => return Err(format!("record {name} reaches beyond the end")),
        };
    }
    Ok(records)
}

/// A position in a source, as the archive reader wants it.
struct Reader {
    source: Arc<Source>,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.source.len().saturating_sub(self.at);
        let length = usize::try_from(rest).unwrap_or(buffer.len()).min(buffer.len());
        self.source.read_at(self.at, &mut buffer[..length]).map_err(io::Error::other)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::End(step) => self.source.len().checked_add_signed(step),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The tensors of an unpickled object, each with its bytes in the file.
fn located(
    source: &Arc<Source>,
    unpickled: &Unpickled<'_>,
    storage: impl Fn(&str) -> Option<(u64, u64)>,
) -> Result<BTreeMap<String, Entry>, String> {
    let mut tensors =
        Flattened { nodes: &unpickled.nodes, found: vec![], budget: unpickled.length * MAX_NAMES };
    tensors.walk(unpickled.root, "", 0)?;
    let mut entries = BTreeMap::new();
    for (name, tensor) in tensors.found {
        let entry =
            entry(source, tensor, &storage).map_err(|error| format!("tensor {name}: {error}"))?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(format!("tensor {name} occurs twice"));
        }
    }
    if entries.is_empty() {
        return Err("it holds no state dict: no named tensor in it".to_string());
    }
    Ok(entries)
}

fn entry(
    source: &Arc<Source>,
    tensor: &StoredTensor<'_>,
    storage: impl Fn(&str) -> Option<(u64, u64)>,
) -> Result<Entry, String> {
    let StoredTensor { storage: stored, offset, shape, strides } = tensor.clone();
    let (start, end) = storage(stored.key).ok_or_else(|| format!("no record {}", stored.key))?;
    let bytes = |elements: usize| (elements as u64).checked_mul(stored.dtype.size() as u64);
    if bytes(stored.elements).is_none_or(|bytes| bytes > end - start) {
        return Err(format!("storage {} is cut short", stored.key));
    }
    let first =
        bytes(offset).and_then(|bytes| start.checked_add(bytes)).ok_or("an offset out of range")?;
    Entry::new(source, TensorInfo { shape, dtype: stored.dtype }, (first, end), Some(strides))
}

/// Collects the tensors of nested dicts and lists under names joined by dots.
struct Flattened<'a> {
    nodes: &'a [Node<'a>],
    found: Vec<(String, &'a StoredTensor<'a>)>,
    /// Bytes that names may still take.
    budget: usize,
}

impl<'a> Flattened<'a> {
    fn walk(&mut self, value: Value<'a>, name: &str, depth: usize) -> Result<(), String> {
        let Value::Node(index) = value else { return Ok(()) };
        if depth > MAX_DEPTH {
            return Err(format!("dicts nested deeper than {MAX_DEPTH}"));
        }
        let nodes = self.nodes;
        match &nodes[index] {
            Node::Tensor(tensor) if !name.is_empty() => self.found.push((name.to_string(), tensor)),
            Node::Tensor(_) | Node::Storage(_) => {}
            Node::Dict(items) => {
                for &(key, item) in items {
                    match key {
                        Value::Text(key) => self.enter(item, name, key, depth)?,
                        Value::Int(key) => self.enter(item, name, &key.to_string(), depth)?,
                        _ => {}
                    }
                }
            }
            Node::List(items) | Node::Tuple(items) => {
                for (index, &item) in items.iter().enumerate() {
                    self.enter(item, name, &index.to_string(), depth)?;
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        item: Value<'a>,
        parent: &str,
        key: &str,
        depth: usize,
    ) -> Result<(), String> {
        if !matches!(item, Value::Node(_)) {
            return Ok(());
        }
        let name = if parent.is_empty() { key.to_string() } else { format!("{parent}.{key}") };
        self.budget = self
            .budget
            .checked_sub(name.len().max(1))
            .ok_or("its dicts refer to each other without end")?;
        self.walk(item, &name, depth + 1)
    }
}
