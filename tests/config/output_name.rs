//! Names of output files.

use std::path::PathBuf;

use musev::config::{OutputName, OutputPictures, TransformedName};

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

#[test]
fn the_name_of_a_transformed_video_is_the_originals_too() {
    let reference = [PathBuf::from("data/images/yongen.jpeg")];
    let name = TransformedName {
        kind: "v2v",
        model: ("majicmixRealv6Fp16", Some("musev_referencenet")),
        case: "dance",
        size: (512, 768),
        time_size: 12,
        n_batch: 3,
        steps: 10,
        noise: (1e-3, 0.5),
        seed: 42,
        controlnet: "canny,tile",
        first_frame: (0.8, 7.5),
        video: (1.0, 3.5),
        prompts: ("a cat", "V2"),
        pictures: OutputPictures { reference: &reference, ..OutputPictures::default() },
    };
    assert_eq!(
        name.stem(),
        "v2v_m=majicmixRealv6Fp16_rm=musev_referencenet_c=dance_w=512_h=768_t=12_n=3_vn=10_w=0.001\
         _w=0.5_s=42_n=canny,tile_s=0.8_g=7.5_vs=1.0_vg=3.5_p=c1d0e_V2_r=yon_ip=yon_f=no"
    );
    let plain = TransformedName { kind: "vm2v", controlnet: "", model: ("sd", None), ..name };
    assert!(plain.stem().starts_with("vm2v_m=sd_rm=no_c=dance_w=512_h=768_t=12_n=3_vn=10_"));
    assert!(plain.stem().contains("_s=42_n=None_s=0.8_"));
}
