// The scaled scores of 4 queries against 4 keys, one query a column of the result; queries and keys past
// the last repeat it. Needs: q, k: array<vec4<Elem>>; sizes: width (vectors of a head), scale.
// Of every pair the first is for the queries, the second for the keys; stride is from one to the next.
fn score_block(origin: vec2<u32>, stride: u32, first: vec2<u32>, last: vec2<u32>) -> mat4x4<f32> {
    let q0 = origin.x + min(first.x, last.x) * stride;
    let q1 = origin.x + min(first.x + 1u, last.x) * stride;
    let q2 = origin.x + min(first.x + 2u, last.x) * stride;
    let q3 = origin.x + min(first.x + 3u, last.x) * stride;
    let k0 = origin.y + min(first.y, last.y) * stride;
    let k1 = origin.y + min(first.y + 1u, last.y) * stride;
    let k2 = origin.y + min(first.y + 2u, last.y) * stride;
    let k3 = origin.y + min(first.y + 3u, last.y) * stride;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var c = 0u; c < sizes.width; c++) {
        let keys = mat4x4<f32>(
            vec4<f32>(k[k0 + c]), vec4<f32>(k[k1 + c]), vec4<f32>(k[k2 + c]), vec4<f32>(k[k3 + c]),
        );
        s0 += vec4<f32>(q[q0 + c]) * keys;
        s1 += vec4<f32>(q[q1 + c]) * keys;
        s2 += vec4<f32>(q[q2 + c]) * keys;
        s3 += vec4<f32>(q[q3 + c]) * keys;
    }
    return mat4x4<f32>(s0, s1, s2, s3) * sizes.scale;
}
