// Tree reductions over one workgroup. Needs: const WORKGROUP (a power of two).
var<workgroup> reduce_scratch: array<f32, WORKGROUP>;

// The sum of every invocation's `value`, in every invocation.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
    workgroupBarrier();
    reduce_scratch[lane] = value;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width >>= 1u) {
        if (lane < width) {
            reduce_scratch[lane] += reduce_scratch[lane + width];
        }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}
