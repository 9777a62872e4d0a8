//! The arithmetic of a denoiser, counted from its configuration.

use crate::models::unet_3d::UNet3DConditionModelConfig;

/// Taps of a temporal convolution, and stages of a temporal convolution block.
const TEMPORAL_TAPS: usize = 3;
const TEMPORAL_STAGES: usize = 4;

/// Multiplications in the convolutions, linear layers and attentions of one forward pass.
pub(super) fn multiplications(
    config: &UNet3DConditionModelConfig,
    latents: [usize; 5],
    text_tokens: usize,
    condition_frames: usize,
) -> f64 {
    let [clips, _, frames, height, width] = latents;
    let mut work = Work {
        clips,
        frames,
        text_tokens,
        condition_frames,
        text_channels: config.cross_attention_dim,
        embedding: 4 * config.block_out_channels[0],
        pixels: height * width,
        total: 0,
    };
    work.unet(config, [height, width]);
    work.total as f64
}

struct Work {
    clips: usize,
    frames: usize,
    text_tokens: usize,
    condition_frames: usize,
    text_channels: usize,
    /// Length of the time and frame embeddings.
    embedding: usize,
    /// Pixels of the current level.
    pixels: usize,
    total: usize,
}

impl Work {
    fn unet(&mut self, config: &UNet3DConditionModelConfig, size: [usize; 2]) {
        let channels = &config.block_out_channels;
        let levels = channels.len();
        let (first, last) = (channels[0], channels[levels - 1]);
        // As many times halved, rounding up, as there are levels above.
        let pixels: Vec<usize> = (0..levels)
            .map(|level| size.map(|side| side.div_ceil(1 << level)).iter().product())
            .collect();

        self.total += (1 + self.frames) * (first * self.embedding + self.embedding.pow(2));
        self.convolution(config.in_channels, first, 3);
        self.temporal_transformer(first);
        let mut skips = vec![first];
        for (level, &to) in channels.iter().enumerate() {
            self.pixels = pixels[level];
            for layer in 0..config.layers_per_block {
                let from = if layer == 0 { channels[level.saturating_sub(1)] } else { to };
                self.layer(from, to, config.down_block_attends(level));
                skips.push(to);
            }
            if level + 1 < levels {
                self.pixels = pixels[level + 1];
                self.convolution(to, to, 3);
                skips.push(to);
            }
        }
        self.layer(last, last, true);
        self.layer(last, last, false);
        let mut from = last;
        for level in (0..levels).rev() {
            let to = channels[level];
            self.pixels = pixels[level];
            for _ in 0..=config.layers_per_block {
                let skip = skips.pop().unwrap_or(0);
                self.layer(from + skip, to, config.up_block_attends(levels - 1 - level));
                from = to;
            }
            if level > 0 {
                self.pixels = pixels[level - 1];
                self.convolution(to, to, 3);
            }
        }
        self.convolution(first, config.out_channels, 3);
    }

    fn layer(&mut self, from: usize, to: usize, attends: bool) {
        self.resnet(from, to);
        self.temporal_convolutions(to);
        if attends {
            self.spatial_transformer(to);
            self.temporal_transformer(to);
        }
    }

    fn positions(&self) -> usize {
        self.clips * self.frames * self.pixels
    }

    fn linear(&mut self, from: usize, to: usize) {
        self.total += self.positions() * from * to;
    }

    fn convolution(&mut self, from: usize, to: usize, kernel: usize) {
        self.total += self.positions() * from * to * kernel * kernel;
    }

    fn resnet(&mut self, from: usize, to: usize) {
        self.convolution(from, to, 3);
        self.convolution(to, to, 3);
        self.total += self.embedding * to;
        if from != to {
            self.convolution(from, to, 1);
        }
    }

    fn temporal_convolutions(&mut self, channels: usize) {
        self.total += TEMPORAL_STAGES * TEMPORAL_TAPS * self.positions() * channels * channels;
    }

    fn feed_forward(&mut self, channels: usize) {
        self.linear(channels, 8 * channels);
        self.linear(4 * channels, channels);
    }

    /// Queries, keys, values and output of a self attention that sees `keys` tokens.
    fn self_attention(&mut self, channels: usize, keys: usize) {
        (0..4).for_each(|_| self.linear(channels, channels));
        self.total += 2 * self.positions() * keys * channels;
    }

    fn spatial_transformer(&mut self, channels: usize) {
        (0..2).for_each(|_| self.linear(channels, channels));
        self.self_attention(channels, self.pixels * (1 + self.condition_frames));
        (0..2).for_each(|_| self.linear(channels, channels));
        self.total += 2 * self.clips * self.text_tokens * self.text_channels * channels;
        self.total += 2 * self.positions() * self.text_tokens * channels;
        self.feed_forward(channels);
    }

    fn temporal_transformer(&mut self, channels: usize) {
        (0..2).for_each(|_| self.linear(channels, channels));
        (0..2).for_each(|_| self.self_attention(channels, self.frames));
        self.total += self.frames * self.embedding * channels;
        self.feed_forward(channels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_needs_about_what_pytorch_counted() {
        let config = UNet3DConditionModelConfig::default();
        let flop = 2.0 * multiplications(&config, [1, 4, 5, 32, 32], 77, 0);
        assert!((flop / 1.465e12 - 1.0).abs() < 0.01, "{flop:e}");
    }
}
