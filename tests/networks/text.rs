//! What a text encoder with arbitrary weights must fulfil.

use burn::tensor::{Int, Tensor};
use musev::models::clip::HiddenAct;
use musev::models::clip::text::CLIPTextConfig;

use crate::common;

fn states(config: &CLIPTextConfig, ids: [[i32; 6]; 2]) -> Tensor<3> {
    let device = common::device();
    let ids = Tensor::<2, Int>::from_data(ids, &device);
    device.seed(7);
    config.init(&device).forward(ids).last_hidden_state
}

#[test]
fn tokens_see_only_what_precedes_them() {
    for hidden_act in [HiddenAct::QuickGelu, HiddenAct::Gelu] {
        let config = CLIPTextConfig {
            vocab_size: 50,
            hidden_size: 16,
            intermediate_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            hidden_act,
            ..Default::default()
        };
        let out = states(&config, [[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 8, 9]]);
        let texts: Vec<f32> = out.into_data().iter::<f32>().collect();
        let (first, second) = texts.split_at(6 * 16);
        let close = |range: std::ops::Range<usize>| {
            first[range.clone()].iter().zip(&second[range]).all(|(a, b)| (a - b).abs() < 1e-5)
        };
        assert!(close(0..3 * 16));
        assert!(!close(3 * 16..6 * 16));
    }
}
