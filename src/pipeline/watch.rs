//! Progress, preview and cancelling in one callback.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use crate::media::Frame;

/// What the pipeline has just done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A network is on the device.
    Loaded {
        /// Its name: "text_encoder", "vae", "unet".
        part: &'static str,
    },
    /// A shot begins.
    Shot {
        /// Counted from 0.
        index: usize,
        /// Shots in all.
        of: usize,
    },
    /// A window went through the denoiser.
    Window {
        /// Counted from 0 within the step.
        index: usize,
        /// Windows of a step.
        of: usize,
    },
    /// A step is done, on the device too.
    Step {
        /// Counted from 0.
        index: usize,
        /// Steps of the shot.
        of: usize,
        /// Latents `[1, 4, t, h, w]` of the generated frames.
        latents: &'a Tensor<5>,
    },
    /// The middle frame as it would look if denoising ended now.
    Preview(Frame),
    /// Frames were decoded.
    Decoded {
        /// Frames so far.
        frames: usize,
        /// Frames of the shot.
        of: usize,
    },
}

/// Watches a run; `ControlFlow::Break` ends it after the current window.
pub trait Watch {
    /// Called after each piece of work.
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()>;

    /// Whether a preview of step `index` is wanted: it costs one decoded frame.
    fn wants_preview(&self, _index: usize) -> bool {
        false
    }
}

/// Watches nothing and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn on(&mut self, _event: Event<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A closure over events is a watcher without previews.
impl<F: FnMut(Event<'_>) -> ControlFlow<()>> Watch for F {
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Hands `event` to `watch` and turns its break into [`crate::Error::Cancelled`].
pub(crate) fn report(watch: &mut dyn Watch, event: Event<'_>) -> crate::Result<()> {
    match watch.on(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(crate::Error::Cancelled),
    }
}
