//! Blocks that several networks share. Fields are called as in the published state dicts.

pub mod attention;
pub mod conditioning_embedding;
pub mod conv2d;
pub mod embeddings;
pub mod feed_forward;
pub mod frames;
pub mod group_norm;
pub mod layer_norm;
pub mod projection;
pub mod resnet_2d;
pub mod sampling;
pub mod temporal_conv;
pub mod temporal_transformer;
pub mod transformer_2d;
pub mod transformer_block;
