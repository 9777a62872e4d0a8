//! Sizes of networks whose files come without a configuration.

/// The shape of a tensor of a file by its name, if there is one.
pub type ShapeOf<'a> = &'a dyn Fn(&str) -> Option<Vec<usize>>;

/// The shape of a tensor that has D dimensions.
pub(super) fn sized<const D: usize>(shape: ShapeOf<'_>, name: &str) -> Option<[usize; D]> {
    shape(name)?.try_into().ok()
}
