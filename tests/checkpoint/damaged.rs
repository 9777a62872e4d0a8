//! Damaged and hostile files: an error, never a panic, and no memory beyond the file's own size.

use std::fs;

use musev::checkpoint::Weights;
use proptest::prelude::*;

use crate::memory::peak_of;
use crate::{f32s, golden, safetensors};

/// Opens a file and reads every tensor of it; the most memory that took. A tensor is never larger
/// than the file; tables of names and errors come on top.
fn read_all(bytes: Vec<u8>) -> usize {
    let read = || {
        if let Ok(weights) = Weights::from_bytes("damaged", bytes) {
            for name in weights.names() {
                let _ = weights.tensor(name);
            }
        }
    };
    peak_of(read).1
}

/// An instruction of one byte makes a container of 32 bytes and a stack item of 24 at most; a
/// vector that grows holds its old and its new, twice as large half for a moment.
fn assert_bounded(bytes: Vec<u8>) {
    let allowed = 3 * (32 + 24) * bytes.len() + (64 << 10);
    let peak = read_all(bytes);
    assert!(peak <= allowed, "{peak} bytes allocated, {allowed} allowed");
}

fn sample() -> Vec<u8> {
    safetensors(&[("a.weight", "F32", &[2, 2], f32s(&[1.0; 4])), ("b", "F16", &[3], vec![0; 6])])
}

fn reason(bytes: Vec<u8>) -> String {
    Weights::from_bytes("damaged", bytes).unwrap_err().to_string()
}

fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + data, 0);
    file
}

#[test]
fn every_truncation_is_an_error() {
    for whole in [
        sample(),
        fs::read(golden("torch_zip.bin")).unwrap(),
        fs::read(golden("torch_legacy.pth")).unwrap(),
    ] {
        for length in 0..whole.len() {
            let cut = whole[..length].to_vec();
            assert!(
                Weights::from_bytes("cut", cut.clone()).is_err(),
                "{length} of {}",
                whole.len()
            );
            assert_bounded(cut);
        }
    }
}

#[test]
fn a_header_longer_than_the_file_is_told() {
    let mut file = sample();
    file[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert!(reason(file).contains("claims 1099511627776 bytes"));
}

#[test]
fn offsets_are_checked() {
    let tensor = |shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (shape, offsets) in [
        ("[4]", "[0,12]"),
        ("[4]", "[16,0]"),
        ("[4]", "[4,20]"),
        ("[4294967296,4294967296,4294967296]", "[0,16]"),
        ("[4]", "[0,18446744073709551615]"),
    ] {
        assert!(reason(with_header(&tensor(shape, offsets), 16)).contains("damaged"), "{offsets}");
    }
    assert!(reason(with_header(&tensor("[4]", "[0,16]"), 12)).contains("cut short"));
    assert!(reason(with_header(&tensor("[4]", "[0,16]"), 20)).contains("after its last tensor"));
}

#[test]
fn a_name_that_occurs_twice_is_told() {
    let info = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let header = format!(r#"{{"a":{info},"a":{info}}}"#);
    assert!(reason(with_header(&header, 0)).contains("a occurs twice"));
}

#[test]
fn types_that_are_not_supported_are_named() {
    let header = r#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
    assert!(reason(with_header(header, 1)).contains("tensor a: dtype F8_E4M3"));
}

/// A file from before the archive whose object is `program`.
fn legacy(program: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02");
    file.extend(program);
    file.extend(b".\x80\x02].");
    file
}

#[test]
fn hostile_pickles_are_refused() {
    let nested_tuples = [&b"N"[..], &vec![0x85; 200_000]].concat();
    let empty_dicts_of_each_other = {
        // Each dict holds the one before it twice: 2 to the 15th paths from 200 bytes.
        let mut program = b"}q\x00".to_vec();
        for level in 0..15u8 {
            program.extend([b'}', b'q', level + 1, b'(', b'U', 1, b'a', b'h', level]);
            program.extend([b'U', 1, b'b', b'h', level, b'u']);
        }
        program
    };
    let endless = vec![b')'; 300_000];
    // Twice as long with each of 40 turns, as its own parameters.
    let dict_of_itself =
        [&b"}q\x00}U\x0b_parametersh\x00sq\x010NNs"[..], &b"h\x01b".repeat(40)].concat();
    // One list of 5000 pairs, copied into 1000 dicts.
    let dicts_of_a_list = [
        &b"ccollections\nOrderedDict\nq\x00](NN\x86"[..],
        &[b'2'; 5000],
        b"e\x85q\x010",
        &b"h\x00h\x01R0".repeat(1000),
    ]
    .concat();
    // One shape of 5000 dimensions, copied into 1000 tensors.
    let tensors_of_a_shape = [
        &b"ctorch._utils\n_rebuild_tensor_v2\nq\x00((U\x07storagectorch\nFloatStorage\nU\x010"[..],
        b"U\x03cpuK\x01tQK\x00(K\x01",
        &[b'2'; 5000],
        b"tq\x02h\x02tq\x010",
        &b"h\x00h\x01R0".repeat(1000),
    ]
    .concat();
    let long_list = [&b"]"[..], &[&b"("[..], &[b'N'; 200_000], b"e"].concat().repeat(6)].concat();
    let cases: [(&[u8], &str); 13] = [
        (&dict_of_itself, "containers of more than"),
        (&dicts_of_a_list, "containers of more than"),
        (&tensors_of_a_shape, "16 at most"),
        (&long_list, "containers of more than 1048576 items"),
        (&endless, "more than 262144 objects"),
        (&nested_tuples, "nested deeper"),
        (&empty_dicts_of_each_other, "without end"),
        (b"]q\x00h\x00a", "without end"),
        (b"cbuiltins\neval\nU\x011\x85R", "builtins.eval"),
        (b"U\x02osU\x06system\x93", "os.system"),
        (b"X\xff\xff\xff\xffa", "ends too early"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa", "ends too early"),
        (b"i__main__\nX\n", "instruction 0x69"),
    ];
    for (program, told) in cases {
        let file = legacy(program);
        let error = reason(file.clone());
        assert!(error.contains(told), "{told:?} not in {error}");
        assert_bounded(file);
    }
}

#[test]
fn a_tensor_larger_than_its_file_is_refused() {
    // One element, expanded to 2 to the 30th.
    let program = b"}U\x01actorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n\
        U\x010U\x03cpuK\x01NtQK\x00J\x00\x00\x00\x40\x85K\x00\x85\x89}tRs";
    let mut file = legacy(program);
    file.truncate(file.len() - 4);
    file.extend(b"\x80\x02]U\x010a.\x01\0\0\0\0\0\0\0\0\0\0\0");
    let error = reason(file);
    assert!(error.contains("larger than the file"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn changed_bytes_do_no_harm(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = match which {
            0 => sample(),
            1 => fs::read(golden("torch_zip.bin")).unwrap(),
            _ => fs::read(golden("torch_legacy.pth")).unwrap(),
        };
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
        }
        assert_bounded(file);
    }

    #[test]
    fn any_program_ends_in_a_result(program in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_bounded(legacy(&program));
    }

    #[test]
    fn any_header_ends_in_a_result(header in "\\PC{0,200}") {
        assert_bounded(with_header(&format!("{{{header}"), 8));
    }
}
