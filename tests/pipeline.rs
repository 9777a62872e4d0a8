//! What the denoising loop must fulfil with any weights, where the original gives no numbers.

mod common;
#[path = "common/scramble.rs"]
mod scramble;

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor, TensorData};
use musev::media::{CLIP_SIZE, clip_pixel_values};
use musev::models::clip::vision::CLIPVisionConfig;
use musev::models::controlnet::{ControlNetModel, ControlNetModelConfig};
use musev::models::ip_adapter::face_id::FaceIDProjModelConfig;
use musev::models::ip_adapter::image_proj::ImageProjModelConfig;
use musev::models::pose_guider::PoseGuiderConfig;
use musev::models::referencenet::ReferenceNet2DConfig;
use musev::models::unet_2d::UNet2DEncoderConfig;
use musev::models::unet_3d::{UNet3DConditionModelConfig, UNet3DVariant};
use musev::models::vae::AutoencoderKLConfig;
use musev::pipeline::{
    Conditioners, Control, Engine, ImageAdapter, ImageProjection, PicturePrompt, Plan,
    PromptPictures,
};
use musev::random::Generator;
use musev::schedulers::{PredictionType, SchedulerConfig, TimestepSpacing};
use musev::{
    ConditionFrames, Error, FacePrompt, Frame, Guidance, Noise, Request, Result, Rng, Sampling,
    Size, Unwatched, VisionCondition, Window,
};

use scramble::Scramble;

const SIDE: usize = 16;

fn scrambled<M: Module>(module: M) -> M {
    module.map(&mut Scramble { temporal_weight: 0.5, state: 1 })
}

fn encoder() -> UNet2DEncoderConfig {
    UNet2DEncoderConfig {
        block_out_channels: vec![32, 32],
        layers_per_block: 1,
        norm_num_groups: 8,
        cross_attention_dim: 16,
        attention_head_dim: 4,
        down_block_types: vec!["CrossAttnDownBlock2D".into(), "DownBlock2D".into()],
        ..Default::default()
    }
}

fn control_net() -> ControlNetModel {
    let config = ControlNetModelConfig {
        encoder: encoder(),
        conditioning_embedding_out_channels: vec![8, 16],
        ..Default::default()
    };
    scrambled(config.init(&common::device()))
}

/// A small model with every network of conditions; it shrinks pictures to half their sides.
fn engine() -> Engine {
    let device = common::device();
    let unet = UNet3DConditionModelConfig {
        block_out_channels: vec![32, 32],
        layers_per_block: 1,
        norm_num_groups: 8,
        cross_attention_dim: 16,
        attention_head_dim: 4,
        down_block_types: vec!["CrossAttnDownBlock3D".into(), "DownBlock3D".into()],
        up_block_types: vec!["UpBlock3D".into(), "CrossAttnUpBlock3D".into()],
        variant: UNet3DVariant {
            need_t2i_ip_adapter_face: true,
            ..UNet3DVariant::MUSEV_REFERENCENET
        },
        ..Default::default()
    };
    let vae = AutoencoderKLConfig {
        block_out_channels: vec![16, 32],
        down_block_types: vec!["DownEncoderBlock2D".into(); 2],
        up_block_types: vec!["UpDecoderBlock2D".into(); 2],
        layers_per_block: 1,
        norm_num_groups: 8,
        ..Default::default()
    };
    let reference_net = ReferenceNet2DConfig { encoder: encoder(), ..Default::default() };
    let projection = ImageProjModelConfig {
        cross_attention_dim: 16,
        clip_embeddings_dim: 24,
        clip_extra_context_tokens: 4,
    };
    let face =
        FaceIDProjModelConfig { cross_attention_dim: 16, id_embeddings_dim: 8, num_tokens: 4 };
    let pose_guider = PoseGuiderConfig {
        conditioning_embedding_channels: 32,
        block_out_channels: vec![8, 16],
        ..Default::default()
    };
    Engine {
        vae: scrambled(vae.init(&device)),
        unet: scrambled(unet.init(&device)),
        conditioners: Conditioners {
            reference_net: Some(scrambled(reference_net.init(&device)).into()),
            image_adapter: Some(ImageAdapter {
                encoder: None,
                projection: ImageProjection::Whole(scrambled(projection.init(&device)).into()),
            }),
            face_adapter: Some(scrambled(face.init(&device)).into()),
            control_nets: vec![control_net(), control_net()],
            pose_guider: Some(scrambled(pose_guider.init(&device))),
        },
        dtype: FloatDType::F32,
        scheduler: SchedulerConfig::stable_diffusion(),
        device,
    }
}

/// `count` pictures, each of a colour of its own.
fn pictures(count: usize, green: u8) -> Vec<Frame> {
    let picture = |i| Frame::filled(SIDE, SIDE, [20 * i as u8, green, 200 - 15 * i as u8]);
    (0..count).map(picture).collect()
}

/// Five frames in three windows after one condition frame, with every other condition.
fn request() -> Request {
    let embeddings = Scramble { temporal_weight: 0.0, state: 5 }.tensor([1, 24]);
    Request {
        size: Size { width: SIDE, height: SIDE },
        frames: 5,
        sampling: Sampling { steps: 1, ..Sampling::default() },
        window: Window { frames: 3, overlap: 2, ..Window::default() },
        vision: Some(VisionCondition::pictures(pictures(1, 0))),
        reference: Some(ConditionFrames::Pictures(pictures(2, 90))),
        image_prompt: Some(PicturePrompt::new(PromptPictures::Embeddings(embeddings))),
        face_prompt: Some(FacePrompt { embeddings: vec![vec![-0.3; 8]], scale: 1.0 }),
        controls: vec![Control::new(pictures(6, 120)), Control::new(pictures(6, 180))],
        pose: pictures(6, 250),
        ..Request::default()
    }
}

fn denoise(engine: &Engine, request: &Request) -> Result<Tensor<5>> {
    let halves = if request.guidance.is_on() { 2 } else { 1 };
    let text = Scramble { temporal_weight: 0.0, state: 3 }.tensor([2, 7, 16]);
    let text = text.narrow(0, 2 - halves, halves);
    let mut generator = Generator::new(Rng::TorchCpu, 1);
    let mut unwatched = Unwatched;
    let shot = engine.denoise(request, text, &mut generator, &mut unwatched);
    pollster::block_on(shot).map(|shot| shot.latents)
}

/// The largest difference, as a share of the largest value.
fn difference(a: Tensor<5>, b: Tensor<5>) -> f32 {
    let largest = |x: Tensor<5>| x.abs().max().into_scalar::<f32>();
    let scale = largest(b.clone());
    assert!(scale.is_finite() && scale > 0.0, "{scale}");
    largest(a - b) / scale
}

#[test]
fn windows_denoised_together_equal_windows_one_by_one() {
    let engine = engine();
    for scale in [1.0, 3.5] {
        let guidance = Guidance { scale, image_scale: 2.0, ..Guidance::default() };
        let single = Request { guidance, ..request() };
        let mut together = single.clone();
        together.window.batch_size = 2;
        let single = denoise(&engine, &single).unwrap();
        assert_eq!(single.dims(), [1, 4, 6, SIDE / 2, SIDE / 2]);
        assert!(difference(denoise(&engine, &together).unwrap(), single) < 1e-5);
    }
}

/// Without guidance the conditional half is all there is, condition frames in their places (quirk Q-15
/// of the original, which fails there).
#[test]
fn no_guidance_is_guidance_of_scale_one() {
    let engine = engine();
    let [off, on] = [1.0, 1.0 + 1e-9].map(|scale| {
        let guidance = Guidance { scale, ..Guidance::default() };
        denoise(&engine, &Request { guidance, ..request() }).unwrap()
    });
    assert!(difference(off.clone(), on) < 1e-5);
    let given = VisionCondition::pictures(pictures(1, 200));
    let guidance = Guidance { scale: 1.0, ..Guidance::default() };
    let other = Request { vision: Some(given), guidance, ..request() };
    let other = denoise(&engine, &other).unwrap();
    let frames = |clip: &Tensor<5>, from, count| clip.clone().narrow(2, from, count);
    assert!(difference(frames(&other, 0, 1), frames(&off, 0, 1)) > 1e-2, "the given frame itself");
    assert!(difference(frames(&other, 1, 5), frames(&off, 1, 5)) > 1e-4, "what follows it");
}

/// As far as it is told, all frames of a window the same way, and with the prompt's half of every condition,
/// whether there is another half or not; not at all without a picture.
#[test]
fn image_guidance_leads_away_from_what_does_not_see_the_picture() {
    let engine = engine();
    let guided = |guidance| denoise(&engine, &Request { guidance, ..request() }).unwrap();
    let denoised =
        |scale, image_scale| guided(Guidance { scale, image_scale, ..Guidance::default() });
    let away = |scale, image_scale| denoised(scale, image_scale) - denoised(scale, 1.0);
    let once = away(1.0, 2.0);
    assert!(difference(denoised(1.0, 2.0), denoised(1.0, 1.0)) > 1e-2);
    assert!(difference(away(1.0, 4.0), once.clone() * 3.0) < 1e-4);
    assert!(difference(away(3.5, 2.0), once.clone()) < 1e-4);
    let in_one_window = |image_scale| {
        let guidance = Guidance { scale: 1.0, image_scale, ..Guidance::default() };
        let request = Request { guidance, window: Window::default(), ..request() };
        denoise(&engine, &request).unwrap().narrow(2, 1, 5)
    };
    let of_all = in_one_window(2.0) - in_one_window(1.0);
    let of_first = of_all.clone().narrow(2, 0, 1).repeat_dim(2, 5);
    assert!(difference(of_all, of_first) < 1e-4, "frames go ways of their own");
    let alone = |image_scale| {
        let guidance = Guidance { scale: 1.0, image_scale, ..Guidance::default() };
        let request = Request { guidance, vision: None, ..request() };
        let request = Request { controls: Vec::new(), pose: Vec::new(), ..request };
        denoise(&engine, &request).unwrap()
    };
    assert_eq!(difference(alone(2.0), alone(1.0)), 0.0);
}

/// One step from the strongest noise ends with the clip that is told: its frames go away from their mean
/// as many times as far as they are told to. At weak noise they do not.
#[test]
fn motion_guidance_leads_away_from_the_clip_that_stands_still() {
    let mut engine = engine();
    let moved = |engine: &Engine, scale, motion_scale| {
        let guidance = Guidance { scale, motion_scale, ..Guidance::default() };
        let request = Request { guidance, window: Window::default(), ..request() };
        denoise(engine, &request).unwrap().narrow(2, 1, 5)
    };
    assert_eq!(difference(moved(&engine, 1.0, 2.0), moved(&engine, 1.0, 1.0)), 0.0);
    engine.scheduler.timestep_spacing = Some(TimestepSpacing::Trailing);
    for prediction_type in [PredictionType::Epsilon, PredictionType::VPrediction] {
        engine.scheduler.prediction_type = prediction_type;
        for scale in [1.0, 3.5] {
            let told = moved(&engine, scale, 1.0);
            let still = told.clone().mean_dim(2).repeat_dim(2, 5);
            assert!(difference(still.clone(), told.clone()) > 1e-2);
            assert!(difference(moved(&engine, scale, 0.0), still.clone()) < 1e-4);
            let more = still.clone() + (told - still) * 2.5;
            assert!(difference(moved(&engine, scale, 2.5), more) < 1e-4);
        }
    }
}

#[test]
fn the_picture_in_the_noise_is_the_mean_of_the_condition_frames() {
    let device = common::device();
    let [noise, condition] = [(5, 1), (3, 2)].map(|(frames, state)| {
        let drawn = Scramble { temporal_weight: 0.0, state }.tensor([1, 4, frames, 8, 8]);
        Tensor::from_data(drawn.into_data(), &device)
    });
    let [first, second, third] = [0, 1, 2].map(|frame| condition.clone().narrow(2, frame, 1));
    let weighted = Noise { img_weight: Some(0.36), ..Noise::default() };
    // Computed in one go with what the frames are made of, as the loop does.
    let mixed = weighted.with_image(noise.clone() * 2.0, condition * 0.5);
    let mean = (first + second + third) * (0.5 / 3.0);
    assert!(difference(mixed, mean * 0.6 + noise * (2.0 * 0.8)) < 1e-5);
}

#[test]
fn every_condition_counts() {
    let engine = engine();
    let all = denoise(&engine, &request()).unwrap();
    let without: [fn(&mut Request); 8] = [
        |request| request.motion_speed = 2.0,
        |request| request.reference = None,
        |request| request.image_prompt = None,
        |request| request.face_prompt = None,
        |request| request.face_prompt.as_mut().unwrap().embeddings.push(vec![0.5; 8]),
        |request| request.controls.clear(),
        |request| request.controls[1].scale = 0.0,
        |request| request.pose.clear(),
    ];
    for (i, change) in without.iter().enumerate() {
        let mut request = request();
        change(&mut request);
        let changed = difference(denoise(&engine, &request).unwrap(), all.clone());
        assert!(changed > 1e-4, "condition {i} changes {changed}");
    }
}

/// A step is linear in both predictions, so that two scales tell what the scale 0 would make: the
/// unconditional half alone.
#[test]
fn guess_mode_leaves_the_unconditional_half_alone() {
    let engine = engine();
    let unconditional = |guess_mode: Option<bool>| {
        let [two, three] = [2.0, 3.0].map(|scale| {
            let guidance = Guidance { scale, ..Guidance::default() };
            let mut request = Request { guidance, ..request() };
            match guess_mode {
                Some(mode) => request.controls.iter_mut().for_each(|c| c.guess_mode = mode),
                None => request.controls.clear(),
            }
            denoise(&engine, &request).unwrap()
        });
        two * 3.0 - three * 2.0
    };
    let alone = unconditional(None);
    assert!(difference(unconditional(Some(true)), alone.clone()) < 1e-3);
    assert!(difference(unconditional(Some(false)), alone) > 1e-2);
}

#[test]
fn a_picture_prompts_as_its_embedding_does() {
    let mut engine = engine();
    let config = CLIPVisionConfig {
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        patch_size: 56,
        projection_dim: 24,
        ..Default::default()
    };
    let encoder = scrambled(config.init(&engine.device));
    let pictures = pictures(2, 60);
    let values: Vec<f32> = pictures.iter().flat_map(clip_pixel_values).collect();
    let values = TensorData::new(values, [2, 3, CLIP_SIZE, CLIP_SIZE]);
    let embeddings = encoder.forward(Tensor::from_data(values, &engine.device)).image_embeds;
    engine.conditioners.image_adapter.as_mut().unwrap().encoder = Some(encoder.into());
    let [seen, embedded] =
        [PromptPictures::Pictures(pictures), PromptPictures::Embeddings(embeddings)].map(|given| {
            let image_prompt = Some(PicturePrompt::new(given));
            denoise(&engine, &Request { image_prompt, ..request() }).unwrap()
        });
    assert!(difference(seen, embedded) < 1e-5);
}

#[test]
fn windows_see_condition_frames_at_their_places() {
    let plan = Plan::new(&request(), 2).unwrap();
    assert_eq!(plan.windows[2], [2, 3, 4]);
    assert_eq!(plan.clip_frames(&plan.windows[2]), [0, 3, 4, 5]);
    let mut last = Request { window: Window::default(), ..request() };
    last.vision.as_mut().unwrap().positions = vec![-1];
    let plan = Plan::new(&last, 2).unwrap();
    assert_eq!(plan.clip_frames(&plan.windows[0]), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn what_cannot_be_followed_is_told() {
    let mut engine = engine();
    let fault = |engine: &Engine, change: fn(&mut Request)| {
        let mut request = request();
        change(&mut request);
        match denoise(engine, &request) {
            Err(Error::Request { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    };
    let too_few = |request: &mut Request| request.controls[0].frames.truncate(5);
    assert_eq!(fault(&engine, too_few), "controlnet");
    assert_eq!(fault(&engine, |request| request.controls.truncate(1)), "controlnet");
    assert_eq!(fault(&engine, |request| request.pose.truncate(2)), "pose-guider");
    let picture = |request: &mut Request| {
        let pictures = PromptPictures::Pictures(pictures(1, 0));
        request.image_prompt = Some(PicturePrompt::new(pictures));
    };
    assert_eq!(fault(&engine, picture), "ipadapter-image");
    let wide = |request: &mut Request| {
        request.face_prompt.as_mut().unwrap().embeddings.push(vec![0.1; 9]);
    };
    assert_eq!(fault(&engine, wide), "face-embedding");
    engine.conditioners.face_adapter = None;
    assert_eq!(fault(&engine, |_| {}), "face-embedding");
    engine.conditioners.reference_net = None;
    assert_eq!(fault(&engine, |_| {}), "refer-image");
}
