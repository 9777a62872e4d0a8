//! Files that PyTorch wrote (`tests/goldens/gen/torch_files.py`).

use musev::checkpoint::Weights;

use crate::golden;

/// `0, 1/8, 2/8, ...`, the values of every golden tensor.
fn count(elements: usize) -> Vec<f32> {
    (0..elements).map(|index| index as f32 / 8.0).collect()
}

fn values(weights: &Weights, name: &str) -> (Vec<usize>, Vec<f32>) {
    let data = weights.tensor(name).unwrap();
    (data.shape().to_vec(), data.convert::<f32>().try_to_vec().unwrap())
}

fn check(weights: &Weights) {
    for name in ["f32", "f16", "bf16", "f64"] {
        assert_eq!(values(weights, &format!("state.{name}")), (vec![2, 3], count(6)), "{name}");
    }
    assert_eq!(values(weights, "state.i64").1, [0., 1., 2., 3., 4.]);
    assert_eq!(values(weights, "state.scalar"), (vec![], vec![0.5]));
    assert_eq!(values(weights, "state.empty"), (vec![0, 3], vec![]));
    assert_eq!(values(weights, "state.parameter").1, count(3));
    assert_eq!(weights.info("state.boolean").unwrap().shape, [3]);
    assert_eq!(values(weights, "inner.deep.weight").1, count(2));
    assert_eq!(values(weights, "list.0").1, count(1));
}

fn check_views(weights: &Weights) {
    let base = count(24);
    let at = |row: usize, column: usize| base[row * 4 + column];
    assert_eq!(values(weights, "state.whole"), (vec![6, 4], base.clone()));
    let transposed = (0..4).flat_map(|c| (0..6).map(move |r| at(r, c))).collect();
    assert_eq!(values(weights, "state.transposed"), (vec![4, 6], transposed));
    assert_eq!(values(weights, "state.rows"), (vec![3, 4], base[8..20].to_vec()));
    let column = (0..6).map(|row| at(row, 1)).collect();
    assert_eq!(values(weights, "state.column"), (vec![6], column));
    assert_eq!(values(weights, "state.expanded").1, [0., 0.125, 0.25, 0., 0.125, 0.25]);
    let permuted = (0..4).flat_map(|k| (0..6).map(move |row| at(row, k))).collect();
    assert_eq!(values(weights, "state.permuted"), (vec![4, 2, 3], permuted));
}

#[test]
fn every_type_of_an_archive_is_read() {
    check(&Weights::open(&golden("torch_zip.bin")).unwrap());
}

#[test]
fn views_of_shared_storage_are_gathered() {
    check_views(&Weights::open(&golden("torch_zip.bin")).unwrap());
}

#[test]
fn files_from_before_the_archive_are_read() {
    let weights = Weights::open(&golden("torch_legacy.pth")).unwrap();
    check(&weights);
    check_views(&weights);
}

#[test]
fn values_that_are_no_tensors_are_left_out() {
    let weights = Weights::open(&golden("torch_zip.bin")).unwrap();
    assert_eq!(weights.names().count(), 17);
    assert!(weights.info("epoch").is_none());
}

#[test]
fn a_call_of_os_system_is_refused_by_name() {
    let error = Weights::open(&golden("torch_malicious.bin")).unwrap_err().to_string();
    assert!(error.contains("posix.system") && error.contains("torch_malicious.bin"), "{error}");
    assert!(!std::path::Path::new("executed").exists());
}

#[test]
fn archives_are_read_from_memory_too() {
    let bytes = std::fs::read(golden("torch_zip.bin")).unwrap();
    check(&Weights::from_bytes("memory", bytes).unwrap());
}
