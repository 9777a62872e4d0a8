// softmax(Q·Kᵀ/√d)·V over tokens, many heads; d a multiple of 4, at most 64 · ITEMS.
// q, out: [b, n, heads, d]; k, v: [b, m, heads, d]; contiguous, read as vectors of 4.
// A unit is one (b, head). A workgroup has 16 queries of a unit and goes through the keys 128 at a
// time with a running maximum and sum (Milakov & Gimelshein 2018, arXiv:1805.02867): scores are never
// stored whole. Work is done in blocks of 4 queries: 4x4 scores, then 4 queries x 4 channels.
// Grid: (query tiles, units folded into y and z).
const WORKGROUP = 64u;
const QUERIES = 16u;
const QUERY_BLOCKS = QUERIES / 4u;
const KEY_BLOCKS = 32u;
// Lanes that share a row of scores.
const PARTS = WORKGROUP / QUERIES;
const LOWEST = -3.4028234e38;

#import score_block

struct Sizes {
    units: u32,
    heads: u32,
    queries: u32,
    keys: u32,
    width: u32, // d / 4
    scale: f32,
}

@group(0) @binding(0) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<Elem>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<Elem>>;
@group(0) @binding(4) var<uniform> sizes: Sizes;

// [query, key / 4]
var<workgroup> scores: array<vec4<f32>, QUERIES * KEY_BLOCKS>;
var<workgroup> partial: array<f32, WORKGROUP>;
// What the output so far is multiplied by, a query each.
var<workgroup> factors: array<f32, QUERIES>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Units past the end do the last one again.
    let unit = min(group.y + group.z * grid.y, sizes.units - 1u);
    let stride = sizes.heads * sizes.width;
    let head = unit % sizes.heads * sizes.width;
    let q_origin = unit / sizes.heads * sizes.queries * stride + head;
    let k_origin = unit / sizes.heads * sizes.keys * stride + head;
    let last_key = sizes.keys - 1u;
    let first_query = group.x * QUERIES;
    let row = lane / PARTS;
    let part = lane % PARTS;
    var top = LOWEST;
    var total = 0.0;
    var sums: array<mat4x4<f32>, ITEMS>;

    for (var first_key = 0u; first_key < sizes.keys; first_key += KEY_BLOCKS * 4u) {
        let blocks = min(KEY_BLOCKS, (sizes.keys - first_key + 3u) / 4u);
        for (var e = lane; e < QUERY_BLOCKS * blocks; e += WORKGROUP) {
            let key_block = e % blocks;
            let query_block = e / blocks;
            let query = first_query + query_block * 4u;
            let first = vec2<u32>(query, first_key + key_block * 4u);
            let last = vec2<u32>(sizes.queries - 1u, last_key);
            let s = score_block(vec2<u32>(q_origin, k_origin), stride, first, last);
            let at = query_block * 4u * KEY_BLOCKS + key_block;
            scores[at] = s[0];
            scores[at + KEY_BLOCKS] = s[1];
            scores[at + 2u * KEY_BLOCKS] = s[2];
            scores[at + 3u * KEY_BLOCKS] = s[3];
        }
        workgroupBarrier();

        var highest = vec4<f32>(LOWEST);
        for (var i = part; i < blocks; i += PARTS) {
            let key = first_key + i * 4u + vec4<u32>(0u, 1u, 2u, 3u);
            let past = key > vec4<u32>(last_key);
            let s = select(scores[row * KEY_BLOCKS + i], vec4<f32>(LOWEST), past);
            scores[row * KEY_BLOCKS + i] = s;
            highest = max(highest, s);
        }
        partial[lane] = max(max(highest.x, highest.y), max(highest.z, highest.w));
        workgroupBarrier();
        var peak = top;
        for (var p = 0u; p < PARTS; p++) {
            peak = max(peak, partial[row * PARTS + p]);
        }
        workgroupBarrier();
        var weights = vec4<f32>();
        for (var i = part; i < blocks; i += PARTS) {
            let w = exp(scores[row * KEY_BLOCKS + i] - peak);
            scores[row * KEY_BLOCKS + i] = w;
            weights += w;
        }
        partial[lane] = weights.x + weights.y + weights.z + weights.w;
        let factor = exp(top - peak);
        factors[row] = factor;
        top = peak;
        workgroupBarrier();
        total *= factor;
        for (var p = 0u; p < PARTS; p++) {
            total += partial[row * PARTS + p];
        }

        for (var item = 0u; item < ITEMS; item++) {
            let e = lane + item * WORKGROUP;
            if (e < QUERY_BLOCKS * sizes.width) {
                let query = e / sizes.width * 4u;
                let origin = k_origin + e % sizes.width;
                let at = query * KEY_BLOCKS;
                var sum = sums[item];
                sum[0] *= factors[query];
                sum[1] *= factors[query + 1u];
                sum[2] *= factors[query + 2u];
                sum[3] *= factors[query + 3u];
                for (var b = 0u; b < blocks; b++) {
                    // Keys past the end weigh 0.
                    let key = first_key + b * 4u;
                    let values = mat4x4<f32>(
                        vec4<f32>(v[origin + key * stride]),
                        vec4<f32>(v[origin + min(key + 1u, last_key) * stride]),
                        vec4<f32>(v[origin + min(key + 2u, last_key) * stride]),
                        vec4<f32>(v[origin + min(key + 3u, last_key) * stride]),
                    );
                    sum[0] += values * scores[at + b];
                    sum[1] += values * scores[at + KEY_BLOCKS + b];
                    sum[2] += values * scores[at + 2u * KEY_BLOCKS + b];
                    sum[3] += values * scores[at + 3u * KEY_BLOCKS + b];
                }
                sums[item] = sum;
            }
        }
        workgroupBarrier();
    }

    factors[row] = 1.0 / total;
    workgroupBarrier();
    for (var item = 0u; item < ITEMS; item++) {
        let e = lane + item * WORKGROUP;
        if (e < QUERY_BLOCKS * sizes.width) {
            let block = e / sizes.width * 4u;
            for (var j = 0u; j < 4u; j++) {
                let query = first_query + block + j;
                if (query < sizes.queries) {
                    let value = sums[item][j] * factors[block + j];
                    out[q_origin + query * stride + e % sizes.width] = vec4<Elem>(value);
                }
            }
        }
    }
}
