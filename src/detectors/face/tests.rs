//! Against InsightFace's steps, done with OpenCV, scikit-image and onnxruntime
//! (`tests/goldens/gen/face.py`).

use std::path::{Path, PathBuf};

use super::align::similarity;
use super::opencv::{resize_linear, warp_affine};
use super::{CROP, DETECTOR, Face, FaceEmbedder, RECOGNISER, write_face_embedding};
use crate::checkpoint::Weights;
use crate::media::Frame;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/face")
}

fn goldens() -> Weights {
    Weights::open(&folder().join("steps.safetensors")).unwrap()
}

fn numbers(name: &str) -> Vec<f64> {
    goldens().tensor(name).unwrap().iter::<f64>().collect()
}

fn picture(name: &str) -> Frame {
    let data = goldens().tensor(name).unwrap();
    let [height, width, 3] = data.shape()[..] else { panic!("{name} is no picture") };
    Frame::new(width, height, data.try_to_vec::<u8>().unwrap()).unwrap()
}

fn points(values: &[f64]) -> [[f32; 2]; 5] {
    std::array::from_fn(|at| [values[2 * at] as f32, values[2 * at + 1] as f32])
}

fn close(ours: impl IntoIterator<Item = f64>, theirs: &[f64], most: f64, what: &str) {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let far = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far <= most, "{what}: {far}");
}

/// How many bytes differ, and by how much at most.
fn differences(a: &Frame, b: &Frame) -> (usize, u8) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| a.abs_diff(*b));
    (differences.clone().filter(|&by| by > 0).count(), differences.max().unwrap_or(0))
}

#[test]
fn pictures_are_resized_as_opencv_does_it() {
    for at in 0..3 {
        let (old, new) = (picture(&format!("resize{at}.old")), picture(&format!("resize{at}.new")));
        let ours = resize_linear(&old, new.width, new.height);
        assert_eq!(differences(&ours, &new), (0, 0), "{at}");
    }
}

#[test]
fn faces_are_aligned_as_scikit_image_and_opencv_do_it() {
    let frame = picture("landscape.picture");
    for at in 0..3 {
        let matrix = numbers(&format!("align{at}.matrix"));
        let ours = similarity(&points(&numbers(&format!("align{at}.points")))).unwrap();
        // scikit-image computes in the type of the points, float32.
        close(ours.into_iter().flatten(), &matrix, 2e-5, "matrix");
        let matrix = std::array::from_fn(|row| std::array::from_fn(|i| matrix[3 * row + i]));
        let crop = picture(&format!("align{at}.crop"));
        assert_eq!(differences(&warp_affine(&frame, &matrix, CROP), &crop), (0, 0), "{at}");
    }
}

#[test]
fn boxes_and_points_are_insightfaces() {
    let embedder = FaceEmbedder::open(&folder()).unwrap();
    for name in ["landscape", "portrait"] {
        let faces = embedder.faces(&picture(&format!("{name}.picture"))).unwrap();
        assert!(faces.len() > 10);
        let boxes = faces.iter().flat_map(|face| face.bounds.into_iter().chain([face.score]));
        close(boxes.map(f64::from), &numbers(&format!("{name}.boxes")), 1e-3, "boxes");
        let points = faces.iter().flat_map(|face| face.points.into_iter().flatten());
        close(points.map(f64::from), &numbers(&format!("{name}.points")), 1e-3, "points");
    }
}

#[test]
fn crops_and_embeddings_are_insightfaces() {
    let embedder = FaceEmbedder::open(&folder()).unwrap();
    for name in ["landscape", "portrait"] {
        let frame = picture(&format!("{name}.picture"));
        let face = embedder.faces(&frame).unwrap()[0];
        let matrix = similarity(&face.points).unwrap();
        // Points are float32, and the matrix moves them by hundreds of pixels.
        let theirs = numbers(&format!("{name}.matrix"));
        let most = 1e-6 * theirs.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        close(matrix.into_iter().flatten(), &theirs, most, "matrix");
        // Places are rounded to steps of 1/32 pixel: the last bit of a point may turn one over.
        let crop = embedder.aligned(&frame, &face).unwrap();
        let (count, most) = differences(&crop, &picture(&format!("{name}.crop")));
        assert!(count <= crop.data.len() / 100 && most <= 8, "{name}: {count} by up to {most}");
        let embedding = embedder.embed(&frame).unwrap().unwrap();
        let length: f32 = embedding.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
        let theirs = numbers(&format!("{name}.embedding"));
        close(embedding.into_iter().map(f64::from), &theirs, 1e-3, "embedding");
    }
}

#[test]
fn pictures_without_a_face_and_other_files_are_refused() {
    let embedder = FaceEmbedder::open(&folder()).unwrap();
    let black = Frame::filled(40, 40, [0; 3]);
    assert_eq!(embedder.embed(&black).unwrap(), None);
    let point = Face { bounds: [0.0; 4], score: 1.0, points: [[7.0, 7.0]; 5] };
    assert!(embedder.aligned(&black, &point).unwrap_err().to_string().contains("at one place"));

    let (detector, recogniser) = (folder().join(DETECTOR), folder().join(RECOGNISER));
    let refused = |detector: &Path, recogniser: &Path| {
        FaceEmbedder::open_files(detector, recogniser).unwrap_err().to_string()
    };
    let error = refused(&recogniser, &detector);
    assert!(error.contains(RECOGNISER) && error.contains("1 outputs"), "{error}");
    let error = refused(&detector, &detector);
    assert!(error.contains("has 9 outputs; a network that recognises"), "{error}");
    let error = refused(&folder().join("steps.safetensors"), &recogniser);
    assert!(error.contains("is no network in ONNX"), "{error}");
    assert!(refused(&folder().join("none.onnx"), &recogniser).contains("none.onnx"));
    let error = FaceEmbedder::open(&folder().join("..")).unwrap_err().to_string();
    assert!(error.contains("has no det_10g.onnx") && error.contains("buffalo_l"), "{error}");
}

#[test]
fn the_pack_is_found_where_insightface_keeps_it() {
    let root = tempfile::tempdir().unwrap();
    let pack = root.path().join("models/buffalo_l");
    std::fs::create_dir_all(&pack).unwrap();
    for file in [DETECTOR, RECOGNISER] {
        std::fs::copy(folder().join(file), pack.join(file)).unwrap();
    }
    assert!(FaceEmbedder::open(root.path()).is_ok());
}

#[test]
fn embeddings_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("face.safetensors");
    write_face_embedding(&path, &[0.6, -0.8]).unwrap();
    let weights = Weights::open(&path).unwrap();
    let tensor = weights.tensor("face_embedding").unwrap();
    assert_eq!(tensor.shape().to_vec(), [1, 2]);
    assert_eq!(tensor.try_to_vec::<f32>().unwrap(), [0.6, -0.8]);
    let error = write_face_embedding(&folder.path().join("a/b"), &[1.0]).unwrap_err();
    assert!(error.to_string().contains("a/b"));
}
