//! Names and shapes of the published sizes; no weight is allocated.

use std::collections::BTreeMap;
use std::path::Path;

use musev::Device;
use musev::checkpoint::state_dict;
use musev::models::clip::text::{self, CLIPTextConfig};
use musev::models::clip::vision::{self, CLIPVisionConfig};
use musev::models::controlnet::{self, ControlNetModelConfig};
use musev::models::ip_adapter::face_id::{self, FaceIDProjModelConfig};
use musev::models::ip_adapter::image_proj::{self, ImageProjModelConfig};
use musev::models::ip_adapter::resampler::{self, ResamplerConfig};
use musev::models::pose_guider::{self, PoseGuiderConfig};
use musev::models::referencenet::{self, ReferenceNet2DConfig};
use musev::models::unet_3d::{self, UNet3DConditionModelConfig, UNet3DVariant};
use musev::models::vae::{self, AutoencoderKLConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

type Shapes = BTreeMap<String, Vec<usize>>;

/// The configuration and the tensors of `tests/manifests/<name>.json`.
fn manifest<C: DeserializeOwned>(name: &str) -> (C, Shapes) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/manifests/{name}.json"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tensors: BTreeMap<String, (Vec<usize>, String)> =
        serde_json::from_value(json["state_dict"].clone()).unwrap();
    let shapes = tensors.into_iter().map(|(name, (shape, _))| (name, shape)).collect();
    (serde_json::from_value(json["config"].clone()).unwrap(), shapes)
}

fn assert_same(got: Vec<(String, Vec<usize>)>, want: &Shapes) {
    let count = got.len();
    let got: Shapes = got.into_iter().collect();
    assert_eq!(got.len(), count, "no name occurs twice");
    let differs = |a: &Shapes, b: &Shapes| {
        a.iter().filter(|(name, shape)| b.get(*name) != Some(*shape)).count()
    };
    assert_eq!((differs(&got, want), differs(want, &got)), (0, 0), "too many, too few");
}

#[test]
fn text_encoder() {
    let (config, want) = manifest::<CLIPTextConfig>("clip_text_vit_l14");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), text::KEYS), &want);
    let default = CLIPTextConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, text::KEYS), &want);
}

#[test]
fn autoencoder() {
    let (config, want) = manifest::<AutoencoderKLConfig>("vae_sd_ft_mse");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), vae::KEYS), &want);
    let default = AutoencoderKLConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, vae::KEYS), &want);
}

#[test]
fn denoiser() {
    let (config, want) = manifest::<UNet3DConditionModelConfig>("unet_musev");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), unet_3d::KEYS), &want);
    let default = UNet3DConditionModelConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, unet_3d::KEYS), &want);
}

/// The denoiser of the published size and of a variant.
fn unet(variant: UNet3DVariant) -> UNet3DConditionModelConfig {
    UNet3DConditionModelConfig { variant, ..Default::default() }
}

const WITH_FACE: UNet3DVariant =
    UNet3DVariant { need_t2i_ip_adapter_face: true, ..UNet3DVariant::MUSEV_REFERENCENET };

#[test]
fn variants_of_the_denoiser() {
    for (name, variant) in [
        ("unet_musev", UNet3DVariant::MUSEV),
        ("unet_musev_referencenet", UNet3DVariant::MUSEV_REFERENCENET),
        ("unet_musev_referencenet_pose", UNet3DVariant::MUSEV_REFERENCENET),
        ("unet_musev_referencenet_with_faceid", WITH_FACE),
    ] {
        let (flags, want) = manifest::<UNet3DVariant>(name);
        assert_eq!(flags, variant, "{name}");
        unet(variant).validate(name).unwrap();
        assert_same(state_dict(&unet(variant).init(&Device::flex()), unet_3d::KEYS), &want);
    }
}

#[test]
fn reference_net() {
    let (config, want) = manifest::<ReferenceNet2DConfig>("referencenet");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), referencenet::KEYS), &want);
    let default = ReferenceNet2DConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, referencenet::KEYS), &want);
}

#[test]
fn control_net() {
    let (config, want) = manifest::<ControlNetModelConfig>("controlnet_sd15");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), controlnet::KEYS), &want);
    let default = ControlNetModelConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, controlnet::KEYS), &want);
}

#[test]
fn pose_guider() {
    let (config, want) = manifest::<PoseGuiderConfig>("pose_guider");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), pose_guider::KEYS), &want);
    let default = PoseGuiderConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, pose_guider::KEYS), &want);
}

#[test]
fn image_encoder() {
    let (config, want) = manifest::<CLIPVisionConfig>("clip_vision_vit_h14");
    config.validate("manifest").unwrap();
    assert_same(state_dict(&config.init(&Device::flex()), vision::KEYS), &want);
    let default = CLIPVisionConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, vision::KEYS), &want);
}

/// The tensors below `prefix`, without it.
fn below(prefix: &str, shapes: &Shapes) -> Shapes {
    let named = |(name, shape): (&String, &Vec<usize>)| {
        Some((name.strip_prefix(prefix)?.to_owned(), shape.clone()))
    };
    shapes.iter().filter_map(named).collect()
}

#[test]
fn image_projections() {
    for name in ["ip_adapter_image_proj", "ip_adapter_sd15"] {
        let (config, want) = manifest::<ImageProjModelConfig>(name);
        config.validate(name).unwrap();
        let got = state_dict(&config.init(&Device::flex()), image_proj::KEYS);
        assert_same(got, &below("image_proj.", &want));
        let default = ImageProjModelConfig::default().init(&Device::flex());
        assert_same(state_dict(&default, image_proj::KEYS), &below("image_proj.", &want));
    }
}

#[test]
fn resampler() {
    let (config, want) = manifest::<ResamplerConfig>("ip_adapter_plus_resampler");
    config.validate("manifest").unwrap();
    let want = below("image_proj.", &want);
    assert_same(state_dict(&config.init(&Device::flex()), resampler::KEYS), &want);
    let default = ResamplerConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, resampler::KEYS), &want);
}

#[test]
fn face_projection() {
    let (config, want) = manifest::<FaceIDProjModelConfig>("ip_adapter_faceid_sd15");
    config.validate("manifest").unwrap();
    let want = below("image_proj.", &want);
    assert_same(state_dict(&config.init(&Device::flex()), face_id::KEYS), &want);
    let default = FaceIDProjModelConfig::default().init(&Device::flex());
    assert_same(state_dict(&default, face_id::KEYS), &want);
}

/// Files of adapters and pose guiders come without a configuration: the published sizes are read from
/// the shapes of their tensors.
#[test]
fn sizes_are_told_by_shapes() {
    fn shapes(prefix: &str, name: &str) -> impl Fn(&str) -> Option<Vec<usize>> {
        let (_, tensors) = manifest::<Value>(name);
        let tensors = below(prefix, &tensors);
        move |name: &str| tensors.get(name).cloned()
    }
    fn json(config: &impl serde::Serialize) -> Value {
        serde_json::to_value(config).unwrap()
    }
    let whole = shapes("image_proj.", "ip_adapter_sd15");
    let told = ImageProjModelConfig::of_shapes(&whole).unwrap();
    assert_eq!(json(&told), json(&ImageProjModelConfig::default()));
    let patches = shapes("image_proj.", "ip_adapter_plus_resampler");
    let told = ResamplerConfig::of_shapes(&patches).unwrap();
    assert_eq!(json(&told), json(&ResamplerConfig::default()));
    let face = shapes("image_proj.", "ip_adapter_faceid_sd15");
    let told = FaceIDProjModelConfig::of_shapes(&face).unwrap();
    assert_eq!(json(&told), json(&FaceIDProjModelConfig::default()));
    let pose = shapes("", "pose_guider");
    let told = PoseGuiderConfig::of_shapes(&pose).unwrap();
    assert_eq!(json(&told), json(&PoseGuiderConfig::default()));
    assert!(ImageProjModelConfig::of_shapes(&face).is_none());
    assert!(ResamplerConfig::of_shapes(&whole).is_none());
    assert!(FaceIDProjModelConfig::of_shapes(&patches).is_none());
}

#[test]
fn image_adapters_number_the_cross_attentions() {
    let config = unet(WITH_FACE);
    let unet = state_dict(&config.init(&Device::flex()), unet_3d::KEYS);
    let unet: Shapes = unet.into_iter().collect();
    for (file, layer) in
        [("ip_adapter_sd15", "to_#_ip"), ("ip_adapter_faceid_sd15", "ip_adapter_face_to_#_ip")]
    {
        let (_, tensors) = manifest::<Value>(file);
        let mut want = below("ip_adapter.", &tensors);
        // The adapter of faces also has a LoRA, which the original does not read (quirk Q-8).
        want.retain(|name, _| !name.contains("lora"));
        let got = config.cross_attentions().into_iter().enumerate().flat_map(|(i, path)| {
            let unet = &unet;
            ["k", "v"].map(|kind| {
                let name = format!("{path}.{}.weight", layer.replace('#', kind));
                (format!("{}.to_{kind}_ip.weight", 2 * i + 1), unet[&name].clone())
            })
        });
        assert_same(got.collect(), &want);
    }
}
