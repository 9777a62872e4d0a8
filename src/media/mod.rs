//! Pictures and videos: reading, preparing and writing them. Pixels only, no tensors.

mod color;
#[cfg(not(target_family = "wasm"))]
mod ffmpeg;
mod format;
mod frame;
#[cfg(feature = "h264")]
mod h264;
#[cfg(feature = "h264")]
mod h264_decode;
mod label;
#[cfg(not(target_family = "wasm"))]
mod output;
mod palette;
mod read;
mod read_video;
mod resample;
mod resize;
#[cfg(not(target_family = "wasm"))]
mod staging;
mod tiling;
mod yuv;

pub mod gif;
pub mod mp4;
pub mod png;
pub mod webp;

pub use color::{match_histogram, match_video_to_first_frame};
pub use format::{Format, encode};
pub use frame::{Frame, Video};
pub use label::write_info;
#[cfg(not(target_family = "wasm"))]
pub(crate) use output::replace_folder;
#[cfg(not(target_family = "wasm"))]
pub use output::{check_file, check_output, output_path, write, write_file};
pub use read::decode_frame;
#[cfg(not(target_family = "wasm"))]
pub use read::read_frame;
#[cfg(not(target_family = "wasm"))]
pub use read_video::read_video;
pub use read_video::{FOLDER_FPS, decode_video};
pub use resample::{Filter, resize};
pub use resize::{
    CLIP_SIZE, Rect, centre_crop, clip_pixel_values, crop, crop_resize, crop_resize_bilinear,
    crop_resize_planes,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use staging::Staged;
pub use tiling::{grid, grid_shape};
pub use yuv::bt709;
