//! How much memory reading takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::FloatDType;
use musev::Device;
use musev::checkpoint::{LoadOptions, Weights, load};
use tempfile::tempdir;

use crate::checkpoints::{Tensors, write_safetensors};

/// Counts what each thread holds, to bound what reading a file allocates.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The result of `work`, and the most bytes that this thread held during it beyond those before.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

#[derive(Module, Debug)]
struct Stack {
    layers: Vec<Linear>,
}

#[test]
fn loading_holds_one_tensor_at_a_time() {
    const LAYERS: usize = 24;
    let folder = tempdir().unwrap();
    let path = folder.path().join("stack.safetensors");
    let tensors: Tensors =
        (0..LAYERS).map(|layer| (format!("layers.{layer}.weight"), vec![512, 300])).collect();
    write_safetensors(&path, &tensors).unwrap();
    let device = Device::flex();
    for (dtype, size) in [(FloatDType::F16, 2), (FloatDType::F32, 4)] {
        let layer = LinearConfig::new(300, 512).with_bias(false);
        let options = LoadOptions { part: "stack", keys: &[], allow_missing: &[], dtype };
        let (loaded, peak) = peak_of(|| {
            let stack = Stack { layers: (0..LAYERS).map(|_| layer.init(&device)).collect() };
            load(stack, &Weights::open(&path).unwrap(), &options, &device).unwrap()
        });
        let bytes = loaded.num_params() * size;
        assert!(peak >= bytes && peak < bytes * 13 / 10, "{peak} bytes to load {bytes}");
    }
}

#[test]
fn opening_reads_the_table_alone() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("one.safetensors");
    write_safetensors(&path, &vec![("a".to_string(), vec![1 << 20])]).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 2 << 20);
    let (_weights, peak) = peak_of(|| Weights::open(&path).unwrap());
    assert!(peak < 64 << 10, "{peak} bytes to open a file of 2 MiB");
}
