//! Products with matrices that are stored as a multiple of what is meant.
//!
//! Update rules may keep weights as `s v`; [`Worker::scale`] is `s`, and products with a bare
//! view lack it. Where it is 1 these functions are the products themselves.

use asyn_core::{TensorId, Worker};

use crate::kernel::Aligned;

/// Computes `y = x W`, for `t` rows of `x`.
pub(super) fn gemm(worker: &Worker<'_>, tensor: TensorId, x: &[f32], t: usize, y: &mut [f32]) {
    worker.panels(tensor).gemm(x, t, y);
    apply_scale(worker, y);
}

/// Computes `y += x W`, for `t` rows of `x`.
#[allow(clippy::float_cmp, reason = "1 is set exactly, and means that nothing is to be done")]
pub(super) fn gemm_add(
    worker: &Worker<'_>,
    tensor: TensorId,
    x: &[f32],
    t: usize,
    y: &mut [f32],
    scaled: &mut Aligned,
) {
    if worker.scale() == 1.0 {
        return worker.panels(tensor).gemm_add(x, t, y);
    }
    scaled.grow(x.len());
    let scaled = &mut scaled[..x.len()];
    scaled.copy_from_slice(x);
    apply_scale(worker, scaled);
    worker.panels(tensor).gemm_add(scaled, t, y);
}

/// Computes `dx = dy Wᵀ`, for `t` rows of `dy`.
pub(super) fn gemm_t(worker: &Worker<'_>, tensor: TensorId, dy: &[f32], t: usize, dx: &mut [f32]) {
    worker.panels(tensor).gemm_t(dy, t, dx);
    apply_scale(worker, dx);
}

/// Multiplies values that were read through a bare view.
#[allow(clippy::float_cmp, reason = "1 is set exactly, and means that nothing is to be done")]
pub(super) fn apply_scale(worker: &Worker<'_>, values: &mut [f32]) {
    let scale = worker.scale();
    if scale != 1.0 {
        values.iter_mut().for_each(|value| *value *= scale);
    }
}
