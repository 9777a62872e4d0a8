//! A reader of Python pickles that executes nothing.
//!
//! A pickle is a program for a stack machine, and Python lets it call any function there is. This
//! machine knows the instructions that `torch.save` writes and a few harmless callables; any other
//! name ends the reading with an error that says it. Own code rather than burn-store's reader,
//! which allocates by counts found in the file: here memory is bounded by [`MAX_PROGRAM`],
//! [`MAX_ITEMS`], [`Contents`] and [`MAX_DIMENSIONS`], and no value nests inside another (they lie in
//! one arena), so that neither deep nor cyclic data can exhaust the call stack.

use std::collections::HashMap;

use super::pickled::{
    Callable, Contents, MAX_DIMENSIONS, Node, Storage, StoredTensor, Value, callable,
};

/// Longest program accepted. A tensor takes about 200 bytes.
pub(super) const MAX_PROGRAM: usize = 8 << 20;

/// Most values on the stack, in the memo, and containers in all. A tensor takes about eight
/// containers, so this allows some 30 000 tensors.
const MAX_ITEMS: usize = 1 << 18;

/// What a program left: its result and the arena that the result points into.
#[derive(Debug)]
pub(super) struct Unpickled<'a> {
    pub(super) root: Value<'a>,
    pub(super) nodes: Vec<Node<'a>>,
    /// Bytes of the program.
    pub(super) length: usize,
}

/// Runs the program at the start of `data`.
pub(super) fn unpickle(data: &[u8]) -> Result<Unpickled<'_>, String> {
    let mut machine = Machine {
        data,
        at: 0,
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        nodes: vec![],
        contents: Contents::default(),
    };
    loop {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Unpickled { root, nodes: machine.nodes, length: machine.at });
        }
        machine.step(opcode).map_err(|error| format!("{error} (byte {})", machine.at))?;
        let largest = machine.stack.len().max(machine.memo.len()).max(machine.nodes.len());
        if largest > MAX_ITEMS {
            return Err(format!("more than {MAX_ITEMS} objects"));
        }
    }
}

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Stack heights at which open groups begin.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    nodes: Vec<Node<'a>>,
    contents: Contents,
}

impl<'a> Machine<'a> {
    /// One instruction. The letters are those of Python's `pickletools`.
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => self.skip(1), // PROTO
            0x95 => self.skip(8), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                if self.marks.len() > MAX_ITEMS {
                    Err("too many groups".to_string())
                } else {
                    Ok(())
                }
            }
            b'0' => self.pop().map(drop),
            b'1' => self.group().map(drop),
            b'2' => self.top().map(|top| self.stack.push(top)),
            b'N' | 0x88 | 0x89 => self.push(Value::Other), // NONE, NEWTRUE, NEWFALSE
            b'G' => self.skip(8).map(|()| self.stack.push(Value::Other)),
            b'J' => self.number(4).and_then(|n| self.push(Value::Int(i64::from(n as u32 as i32)))),
            b'K' => self.number(1).and_then(|n| self.push(Value::Int(n as i64))),
            b'M' => self.number(2).and_then(|n| self.push(Value::Int(n as i64))),
            0x8a => self.number(1).and_then(|length| self.long(length)),
            0x8b => self.number(4).and_then(|length| self.long(length)),
            b'U' | 0x8c => self.number(1).and_then(|length| self.text(length)),
            b'T' | b'X' => self.number(4).and_then(|length| self.text(length)),
            0x8d => self.number(8).and_then(|length| self.text(length)),
            b'C' => self.number(1).and_then(|length| self.bytes(length)),
            b'B' => self.number(4).and_then(|length| self.bytes(length)),
            b'}' => self.push_node(Node::Dict(vec![])),
            b']' => self.push_node(Node::List(vec![])),
            b')' => self.push_tuple(vec![]),
            0x85 => self.tuple(1),
            0x86 => self.tuple(2),
            0x87 => self.tuple(3),
            b't' => self.group().and_then(|items| self.push_tuple(items)),
            b'q' => self.number(1).and_then(|slot| self.remember(slot)),
            b'r' => self.number(4).and_then(|slot| self.remember(slot)),
            0x94 => self.remember(self.memo.len() as u64), // MEMOIZE
            b'h' => self.number(1).and_then(|slot| self.recall(slot)),
            b'j' => self.number(4).and_then(|slot| self.recall(slot)),
            b'a' => self.pop().and_then(|item| self.extend(vec![item])),
            b'e' => self.group().and_then(|items| self.extend(items)),
            b's' => self.pop_many(2).and_then(|pair| self.set_items(pair)),
            b'u' => self.group().and_then(|items| self.set_items(items)),
            b'c' => self.global(),
            0x93 => self.stack_global(),
            b'Q' => self.persistent(),
            b'R' | 0x81 => self.call(), // REDUCE, NEWOBJ
            b'b' => self.build(),
            other => Err(format!("instruction {other:#04x}, which torch.save does not write")),
        }
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|taken| taken[0])
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.data.get(self.at..end)).ok_or("it ends too early")?;
        self.at += taken.len();
        Ok(taken)
    }

    fn skip(&mut self, length: u64) -> Result<(), String> {
        self.take(length).map(drop)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        let taken = self.take(bytes as u64)?;
        Ok(taken.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.data[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("it ends too early")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a name that is not text".to_string())
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node<'a>) -> Result<(), String> {
        self.nodes.push(node);
        self.push(Value::Node(self.nodes.len() - 1))
    }

    /// The stack above the last mark belongs to its open group.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Value<'a>, String> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err("an empty stack".to_string()),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>, String> {
        match self.stack.len().checked_sub(count) {
            Some(rest) if rest >= self.floor() => Ok(self.stack.split_off(rest)),
            _ => Err("an empty stack".to_string()),
        }
    }

    fn group(&mut self) -> Result<Vec<Value<'a>>, String> {
        let start = self.marks.pop().ok_or("the end of a group that never began")?;
        Ok(self.stack.split_off(start))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        self.pop_many(count).and_then(|items| self.push_tuple(items))
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        self.contents.add(items.len(), self.at)?;
        self.push_node(Node::Tuple(items))
    }

    fn long(&mut self, length: u64) -> Result<(), String> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        if bytes.len() > wide.len() {
            return self.push(Value::Other);
        }
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: u64) -> Result<(), String> {
        let text = std::str::from_utf8(self.take(length)?);
        self.push(text.map_or(Value::Other, Value::Text))
    }

    fn bytes(&mut self, length: u64) -> Result<(), String> {
        self.skip(length).and_then(|()| self.push(Value::Other))
    }

    fn remember(&mut self, slot: u64) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(slot as u32, top);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), String> {
        let value = *self.memo.get(&(slot as u32)).ok_or("a reference to nothing")?;
        self.push(value)
    }

    fn extend(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        self.contents.add(items.len(), self.at)?;
        match self.top()? {
            Value::Node(index) if let Node::List(list) = &mut self.nodes[index] => {
                list.extend(items);
                Ok(())
            }
            _ => Err("items appended to what is no list".to_string()),
        }
    }

    fn set_items(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        self.contents.add(items.len(), self.at)?;
        match self.top()? {
            Value::Node(index) if let Node::Dict(dict) = &mut self.nodes[index] => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err("keys set on what is no dict".to_string()),
        }
    }

    fn global(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        self.push(Value::Callable(callable(module, name)?))
    }

    fn stack_global(&mut self) -> Result<(), String> {
        match self.pop_many(2)?[..] {
            [Value::Text(module), Value::Text(name)] => {
                self.push(Value::Callable(callable(module, name)?))
            }
            _ => Err("a callable without a name".to_string()),
        }
    }

    /// The items of a tuple.
    fn items(&self, value: Value<'a>) -> Result<&[Value<'a>], String> {
        match value {
            Value::Node(index) if let Node::Tuple(items) = &self.nodes[index] => Ok(items),
            _ => Err("arguments that are no tuple".to_string()),
        }
    }

    /// A storage, which the program refers to by `("storage", class, key, device, elements)`;
    /// before version 0.4 a sixth item could make it a view of another, which is not followed.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        match *self.items(id)? {
            [
                Value::Text("storage"),
                Value::Callable(Callable::Storage(dtype)),
                Value::Text(key),
                _,
                Value::Int(elements),
            ]
            | [
                Value::Text("storage"),
                Value::Callable(Callable::Storage(dtype)),
                Value::Text(key),
                _,
                Value::Int(elements),
                Value::Other,
            ] => {
                let elements = usize::try_from(elements).map_err(|_| "a negative size")?;
                self.push_node(Node::Storage(Box::new(Storage { key, dtype, elements })))
            }
            _ => Err("an unknown kind of storage".to_string()),
        }
    }

    fn call(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let arguments = self.items(arguments)?;
        match (callable, arguments) {
            (Value::Callable(Callable::OrderedDict | Callable::ParameterDict), []) => {
                self.push_node(Node::Dict(vec![]))
            }
            (Value::Callable(Callable::OrderedDict), &[pairs]) => self.dict_of(pairs),
            (Value::Callable(Callable::Inert), _) => self.push(Value::Other),
            (Value::Callable(Callable::RebuildParameter), &[tensor, ..]) => self.push(tensor),
            (
                Value::Callable(Callable::RebuildTensor),
                &[Value::Node(storage), Value::Int(offset), shape, strides, ..],
            ) => {
                let tensor = self.tensor(storage, offset, shape, strides)?;
                self.push_node(Node::Tensor(Box::new(tensor)))
            }
            _ => Err("a call that torch.save does not write".to_string()),
        }
    }

    /// `OrderedDict([[key, value], ...])`, as Python 2 wrote it.
    fn dict_of(&mut self, pairs: Value<'a>) -> Result<(), String> {
        let Value::Node(index) = pairs else { return Err("a dict of no pairs".to_string()) };
        let Node::List(list) = &self.nodes[index] else {
            return Err("a dict of no pairs".to_string());
        };
        self.contents.add(2 * list.len(), self.at)?;
        let mut pairs = Vec::with_capacity(list.len());
        for &pair in list {
            match pair {
                Value::Node(index)
                    if let Node::List(pair) | Node::Tuple(pair) = &self.nodes[index]
                        && let &[key, item] = &pair[..] =>
                {
                    pairs.push((key, item));
                }
                _ => return Err("a dict of no pairs".to_string()),
            }
        }
        self.push_node(Node::Dict(pairs))
    }

    fn tensor(
        &self,
        storage: usize,
        offset: i64,
        shape: Value<'a>,
        strides: Value<'a>,
    ) -> Result<StoredTensor<'a>, String> {
        let Node::Storage(storage) = &self.nodes[storage] else {
            return Err("a tensor without storage".to_string());
        };
        let size = |value: &Value<'_>| match *value {
            Value::Int(size) => usize::try_from(size).map_err(|_| "a negative size".to_string()),
            _ => Err("a size that is no number".to_string()),
        };
        let (shape, strides) = (self.items(shape)?, self.items(strides)?);
        if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS {
            return Err(format!("a tensor needs a stride a dimension, {MAX_DIMENSIONS} at most"));
        }
        let sizes = |values: &[_]| values.iter().map(size).collect::<Result<Vec<_>, String>>();
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        let offset = usize::try_from(offset).map_err(|_| "a negative offset")?;
        Ok(StoredTensor { storage: **storage, offset, shape, strides })
    }

    /// Attributes set on an object: `torch.save` gives a state dict its `_metadata`, which holds
    /// the versions of the modules and is of no use here. Those of a module of parameters are its
    /// entries.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let parameters = match self.item(state, "_parameters") {
            Some(Value::Node(index)) if let Node::Dict(items) = &self.nodes[index] => {
                self.contents.add(2 * items.len(), self.at)?;
                items.clone()
            }
            _ => vec![],
        };
        match self.top()? {
            Value::Other => Ok(()),
            Value::Node(index) if let Node::Dict(dict) = &mut self.nodes[index] => {
                dict.extend(parameters);
                Ok(())
            }
            _ => Err("attributes set on what is no dict".to_string()),
        }
    }

    /// What a dict has under `key`.
    fn item(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        let Value::Node(index) = value else { return None };
        let Node::Dict(items) = &self.nodes[index] else { return None };
        items.iter().find(|(name, _)| *name == Value::Text(key)).map(|&(_, item)| item)
    }
}
