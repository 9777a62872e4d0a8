//! The instruction set of this machine, found at run time.

use pulp::{Arch, Simd, WithSimd};

/// Runs `op` with the widest vectors there are.
#[inline]
pub(super) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    // `Arch` knows AVX2 only with a feature that would rebuild burn-flex's matrix product.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(simd) = pulp::x86::V4::try_new() {
            return Simd::vectorize(simd, op);
        }
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Simd::vectorize(simd, op);
        }
    }
    Arch::new().dispatch(op)
}

/// Work on tiles of a matrix, of as many rows as the registers of a machine hold sums of.
pub(super) trait Tiled {
    /// Does it in tiles of `ROWS` rows.
    fn run<S: Simd, const ROWS: usize>(self, simd: S);
}

/// Runs `op` with the widest vectors there are, and tiles to suit their number.
#[inline]
pub(super) fn tiled(op: impl Tiled) {
    dispatch(ByRegisters(op));
}

struct ByRegisters<T>(T);

impl<T: Tiled> WithSimd for ByRegisters<T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.0.run::<S, 8>(simd);
        } else {
            self.0.run::<S, 4>(simd);
        }
    }
}

/// Compiles the loops of `f`, a closure marked `#[inline(always)]`, to the widest vectors and runs
/// them.
#[inline]
pub(super) fn vectorized<R>(f: impl FnMut() -> R) -> R {
    dispatch(Loops(f))
}

/// pulp itself takes closures as `FnOnce`, through a shim that is not inlined: their loops stay
/// outside of the vector code.
struct Loops<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Loops<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
