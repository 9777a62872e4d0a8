//! What the page is told while musev works.

use std::ops::ControlFlow;

use js_sys::{Function, Uint8ClampedArray};
use musev::{Event, Watch};
use serde_json::{Value, json};
use wasm_bindgen::JsValue;

use crate::picture;

/// Hands every event to a function of the page: the event as JSON, and of a preview the pixels.
pub(crate) struct Listener {
    function: Function,
    /// Whether a preview is wanted after each step.
    pub(crate) previews: bool,
}

impl Listener {
    pub(crate) fn new(function: Function) -> Self {
        Self { function, previews: false }
    }

    /// Calls the page's function; what it throws ends the work.
    pub(crate) fn tell(&self, event: &Value, pixels: Option<Uint8ClampedArray>) -> ControlFlow<()> {
        let (event, pixels) = (event.to_string().into(), pixels.map_or(JsValue::NULL, Into::into));
        match self.function.call2(&JsValue::NULL, &event, &pixels) {
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Watch for Listener {
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let (told, pixels) = match event {
            Event::Loaded { part } => (json!({ "event": "loaded", "part": part }), None),
            Event::Shot { index, of } => {
                (json!({ "event": "shot", "index": index, "of": of }), None)
            }
            Event::Window { index, of } => {
                (json!({ "event": "window", "index": index, "of": of }), None)
            }
            Event::Step { index, of, .. } => {
                (json!({ "event": "step", "index": index, "of": of }), None)
            }
            Event::Preview(frame) => {
                let size = json!({
                    "event": "preview", "width": frame.width, "height": frame.height,
                });
                (size, Some(picture::rgba(&frame)))
            }
            Event::Decoded { frames, of } => {
                (json!({ "event": "decoded", "frames": frames, "of": of }), None)
            }
            _ => return ControlFlow::Continue(()),
        };
        self.tell(&told, pixels)
    }

    fn wants_preview(&self, _index: usize) -> bool {
        self.previews
    }
}
