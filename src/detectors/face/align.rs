//! Where a face has to lie to be recognised.

/// Both eyes, the nose and both corners of the mouth in ArcFace's pictures of 112 x 112.
const TEMPLATE: [[f64; 2]; 5] = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
];

/// Turning, scaling and moving, as a matrix that takes `[x, y, 1]`.
pub(super) type Similarity = [[f64; 3]; 2];

/// The similarity that brings `points` nearest to the template, in the least squares; `None` when
/// the points are all at one place.
///
/// Least-squares estimation of transformation parameters between two point patterns (Umeyama,
/// 1991). In the plane its singular values need not be computed: with the centred points as complex
/// numbers, the factor that turns and scales is their product with the template over their square.
pub(super) fn similarity(points: &[[f32; 2]; 5]) -> Option<Similarity> {
    let points = points.map(|point| point.map(f64::from));
    let (from, to) = (mean(&points), mean(&TEMPLATE));
    let (mut along, mut across, mut square) = (0.0, 0.0, 0.0);
    for (point, wanted) in points.iter().zip(&TEMPLATE) {
        let [x, y] = [point[0] - from[0], point[1] - from[1]];
        let [u, v] = [wanted[0] - to[0], wanted[1] - to[1]];
        along += x * u + y * v;
        across += x * v - y * u;
        square += x * x + y * y;
    }
    let (cosine, sine) = (along / square, across / square);
    let is_one = cosine.is_finite() && sine.is_finite() && cosine.hypot(sine) > 0.0;
    is_one.then(|| {
        [
            [cosine, -sine, to[0] - (cosine * from[0] - sine * from[1])],
            [sine, cosine, to[1] - (sine * from[0] + cosine * from[1])],
        ]
    })
}

fn mean(points: &[[f64; 2]; 5]) -> [f64; 2] {
    [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64)
}
