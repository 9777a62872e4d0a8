//! Names of output files.

use std::path::PathBuf;

use musev::config::{OutputName, OutputPictures};

#[test]
fn the_name_tells_how_the_video_was_made() {
    let pictures = [PathBuf::from("data/images/yongen.jpeg"), PathBuf::from("b.c.png")];
    let name = OutputName {
        model: ("majicmixRealv6Fp16", None),
        case: "a/b: \"c\"?",
        size: (704, 1216),
        time_size: 12,
        n_batch: 1,
        seed: 42,
        prompt: "a cat",
        img_weight: 1e-3,
        motion_speed: 8.0,
        strength: 0.8,
        video_guidance_scale: 3.5,
        pictures: OutputPictures { condition: &pictures, ..OutputPictures::default() },
        w_ind_noise: 0.5,
        negative_prompt: "V2",
    };
    assert_eq!(
        name.stem(),
        "m=majicmixRealv6Fp16_rm=no_case=ab c_w=704_h=1216_t=12_nb=1_s=42_p=c1d0e_w=0.001_ms=8.0\
         _s=0.8_g=3.5_c-i=yonge_r-c=False_w=0.5_V2_r=no_ip=no_f=no"
    );
    let other = OutputName {
        model: ("sd", Some("musev_referencenet")),
        prompt: "",
        img_weight: 1e-5,
        motion_speed: 1.5e16,
        pictures: OutputPictures {
            redrawn: true,
            reference: &pictures,
            face: &pictures[1..],
            ..OutputPictures::default()
        },
        negative_prompt: "0123456789abc",
        ..name
    };
    assert_eq!(
        other.stem(),
        "m=sd_rm=musev_referencenet_case=ab c_w=704_h=1216_t=12_nb=1_s=42_p=d41d8_w=1e-05\
         _ms=1.5e+16_s=0.8_g=3.5_c-i=no_r-c=True_w=0.5_0123456789_r=yon_ip=yon_f=b"
    );
}
