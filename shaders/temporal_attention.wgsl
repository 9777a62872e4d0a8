// softmax(Q·Kᵀ/√d)·V along the frames, for every pixel and head; d a multiple of 4.
// q, k, v, out: [b, t, n, heads, d], contiguous, read as vectors of 4.
// A unit is one (b, pixel, head). A workgroup holds the scores of `units` units and of `queries`
// frames of each against all frames: units · queries · t <= SCORES, t rounded up to 4.
// Work is done in blocks of 4 queries: 4x4 scores, then 4 queries x 4 channels of the output.
// Grid: (unit groups, query tiles, fold of x).
#import score_block

struct Sizes {
    units: u32,
    frames: u32,
    // heads · pixels: units of one b
    lines: u32,
    width: u32,      // d / 4
    group_units: u32,
    group_queries: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<Elem>>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

// [unit, query, key / 4]
var<workgroup> scores: array<vec4<f32>, SCORES / 4u>;

// First vector of frame 0 of a unit; units past the end read the last one.
fn unit_origin(unit: u32) -> u32 {
    let u = min(unit, sizes.units - 1u);
    let batch = u / sizes.lines;
    return (batch * sizes.frames * sizes.lines + u % sizes.lines) * sizes.width;
}

// Softmax of one row of `blocks` vectors, of which the first `frames` entries count.
fn softmax_row(first: u32, blocks: u32) {
    let tail = sizes.frames - (blocks - 1u) * 4u;
    let lowest = vec4<f32>(-3.4028234e38);
    let past = vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(tail);
    scores[first + blocks - 1u] = select(scores[first + blocks - 1u], lowest, past);
    var top = lowest;
    for (var i = 0u; i < blocks; i++) {
        top = max(top, scores[first + i]);
    }
    let peak = max(max(top.x, top.y), max(top.z, top.w));
    var total = vec4<f32>();
    for (var i = 0u; i < blocks; i++) {
        let p = exp(scores[first + i] - peak);
        scores[first + i] = p;
        total += p;
    }
    let inverse = 1.0 / (total.x + total.y + total.z + total.w);
    for (var i = 0u; i < blocks; i++) {
        scores[first + i] *= inverse;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_unit = (group.x + group.z * grid.x) * sizes.group_units;
    let first_query = group.y * sizes.group_queries;
    let stride = sizes.lines * sizes.width;
    let key_blocks = (sizes.frames + 3u) / 4u;
    let query_blocks = sizes.group_queries / 4u;

    for (var e = lane; e < sizes.group_units * query_blocks * key_blocks; e += WORKGROUP) {
        let key_block = e % key_blocks;
        let query_block = (e / key_blocks) % query_blocks;
        let unit = e / (key_blocks * query_blocks);
        let query = first_query + query_block * 4u;
        let origin = unit_origin(first_unit + unit);
        let first = vec2<u32>(query, key_block * 4u);
        let last = vec2<u32>(sizes.frames - 1u);
        let s = score_block(vec2<u32>(origin), stride, first, last);
        let at = (unit * sizes.group_queries + query_block * 4u) * key_blocks + key_block;
        scores[at] = s[0];
        scores[at + key_blocks] = s[1];
        scores[at + key_blocks * 2u] = s[2];
        scores[at + key_blocks * 3u] = s[3];
    }
    workgroupBarrier();

    for (var row = lane; row < sizes.group_units * sizes.group_queries; row += WORKGROUP) {
        softmax_row(row * key_blocks, key_blocks);
    }
    workgroupBarrier();

    for (var e = lane; e < sizes.group_units * query_blocks * sizes.width; e += WORKGROUP) {
        let c = e % sizes.width;
        let query_block = (e / sizes.width) % query_blocks;
        let unit = e / (sizes.width * query_blocks);
        let origin = unit_origin(first_unit + unit) + c;
        let at = (unit * sizes.group_queries + query_block * 4u) * key_blocks;
        let last = sizes.frames - 1u;
        var o0 = vec4<f32>();
        var o1 = vec4<f32>();
        var o2 = vec4<f32>();
        var o3 = vec4<f32>();
        for (var b = 0u; b < key_blocks; b++) {
            // Keys past the end weigh 0.
            let values = mat4x4<f32>(
                vec4<f32>(v[origin + (b * 4u) * stride]),
                vec4<f32>(v[origin + min(b * 4u + 1u, last) * stride]),
                vec4<f32>(v[origin + min(b * 4u + 2u, last) * stride]),
                vec4<f32>(v[origin + min(b * 4u + 3u, last) * stride]),
            );
            o0 += values * scores[at + b];
            o1 += values * scores[at + key_blocks + b];
            o2 += values * scores[at + key_blocks * 2u + b];
            o3 += values * scores[at + key_blocks * 3u + b];
        }
        let query = first_query + query_block * 4u;
        if (first_unit + unit < sizes.units) {
            if (query < sizes.frames) { out[origin + query * stride] = vec4<Elem>(o0); }
            if (query + 1u < sizes.frames) { out[origin + (query + 1u) * stride] = vec4<Elem>(o1); }
            if (query + 2u < sizes.frames) { out[origin + (query + 2u) * stride] = vec4<Elem>(o2); }
            if (query + 3u < sizes.frames) { out[origin + (query + 3u) * stride] = vec4<Elem>(o3); }
        }
    }
}
