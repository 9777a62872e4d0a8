//! Small networks against numbers recorded from the original. The recordings are inside the binary:
//! the test has to work where there is nothing but musev.

use super::Checks;
use super::cases::{self, Case, EmbeddedCase};

/// The files of the case folder `tests/cases/NAME`.
macro_rules! embedded {
    ($name:literal) => {
        EmbeddedCase {
            name: $name,
            json: include_str!(concat!("../../tests/cases/", $name, "/case.json")),
            weights: include_bytes!(concat!("../../tests/cases/", $name, "/weights.safetensors")),
            inputs: include_bytes!(concat!("../../tests/cases/", $name, "/inputs.safetensors")),
            outputs: include_bytes!(concat!("../../tests/cases/", $name, "/outputs.safetensors")),
        }
    };
}

/// One of every network and of the parts that are the motion module's own.
static CASES: [EmbeddedCase; 6] = [
    embedded!("temporal_conv"),
    embedded!("temporal_transformer_musev"),
    embedded!("resnet_block"),
    embedded!("clip_text"),
    embedded!("vae"),
    embedded!("unet3d_musev"),
];

pub(super) async fn run(checks: &mut Checks<'_>) {
    for embedded in &CASES {
        let case = Case::embedded(embedded);
        (checks.tell)(cases::run_case(embedded.name.to_owned(), case, checks.device).await);
    }
}
