//! From a stored tensor to what a parameter holds: transposed, and of the wanted float type.

use std::borrow::Cow;

use burn::tensor::{DType, Element, FloatDType, TensorData, bf16, f16};
use half::slice::HalfFloatSliceExt;
use half::vec::HalfFloatVecExt;

/// Whether a stored type can become a float parameter.
pub(super) fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
}

/// Transposes a matrix stored as `shape`, up to trailing dimensions of one, laying the result out
/// in order.
///
/// # Shapes
/// - `data`: `[rows, columns]`
/// - output: `[columns, rows]`
pub(super) fn transposed(data: TensorData, shape: [usize; 2]) -> TensorData {
    match data.dtype() {
        DType::F64 => transposed_as::<f64>(&data, shape),
        DType::F32 => transposed_as::<f32>(&data, shape),
        DType::F16 => transposed_as::<f16>(&data, shape),
        DType::BF16 => transposed_as::<bf16>(&data, shape),
        other => unreachable!("only float tensors are loaded, not {other:?}"),
    }
}

fn transposed_as<E: Element>(data: &TensorData, [rows, columns]: [usize; 2]) -> TensorData {
    /// A tile of this side stays in the first-level cache in both orders.
    const TILE: usize = 32;
    let from = data.as_slice::<E>().expect("the element type was matched");
    let mut to = vec![E::from_elem(0.0f32); from.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for column in column_tile..columns.min(column_tile + TILE) {
                for row in row_tile..rows.min(row_tile + TILE) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
    TensorData::new(to, [columns, rows])
}

/// Whether a finite value of `data` is none in `dtype`.
pub(super) fn overflows(data: &TensorData, dtype: FloatDType) -> bool {
    /// What rounds to infinity in float16: half a step above the largest value.
    const BEYOND_F16: f32 = 65520.0;
    let is_beyond = |value: &f32| value.is_finite() && value.abs() >= BEYOND_F16;
    match (data.dtype(), dtype) {
        (DType::F32, FloatDType::F16) => values::<f32>(data).iter().any(is_beyond),
        (DType::BF16, FloatDType::F16) => {
            values::<bf16>(data).iter().any(|value| is_beyond(&value.to_f32()))
        }
        (DType::F64, FloatDType::F16) => {
            let beyond = f64::from(BEYOND_F16);
            values::<f64>(data).iter().any(|value| value.is_finite() && value.abs() >= beyond)
        }
        _ => false,
    }
}

/// Converts to the wanted float type; a tensor that has it already is handed through.
pub(super) fn to_float(data: TensorData, dtype: FloatDType) -> TensorData {
    if data.dtype() == DType::from(dtype) {
        return data;
    }
    let shape = data.shape().clone();
    let wide: Cow<'_, [f32]> = match data.dtype() {
        DType::F64 => values::<f64>(&data).iter().map(|&value| value as f32).collect(),
        DType::F32 => values::<f32>(&data).into(),
        DType::F16 => values::<f16>(&data).to_f32_vec().into(),
        DType::BF16 => values::<bf16>(&data).to_f32_vec().into(),
        other => unreachable!("only float tensors are loaded, not {other:?}"),
    };
    match dtype {
        FloatDType::F32 | FloatDType::Flex32 => TensorData::new(wide.into_owned(), shape),
        FloatDType::F16 => TensorData::new(Vec::<f16>::from_f32_slice(&wide), shape),
        FloatDType::BF16 => TensorData::new(Vec::<bf16>::from_f32_slice(&wide), shape),
        FloatDType::F64 => {
            TensorData::new(wide.iter().copied().map(f64::from).collect::<Vec<_>>(), shape)
        }
    }
}

fn values<E: Element>(data: &TensorData) -> &[E] {
    data.as_slice().expect("the element type was matched")
}
