//! What shots are to look like: what pictures say about them, made before the first step and the
//! same for all shots that have these pictures.

use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};
use crate::image_tensor;
use crate::media::{CLIP_SIZE, Filter, Frame, clip_pixel_values, crop_resize};
use crate::models::clip::vision::CLIPVisionOutput;
use crate::models::referencenet::ReferenceFeatures;
use crate::nn::attention::ImagePrompt;
use crate::nn::frames::fold;
use crate::pipeline::engine::{fitted, picture_at};
use crate::pipeline::watch::Watch;
use crate::pipeline::{
    Engine, FacePrompt, ImageAdapter, ImageProjection, PicturePrompt, PromptPictures, Request, Size,
};

/// What the pictures of a request say to the denoiser. g is 2 with guidance, the unconditional half
/// first, otherwise 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Tokens `[g, m, c]` of the image prompt.
    pub(crate) image_prompt: Option<ImagePrompt>,
    /// Tokens `[g, m, c]` of the faces.
    pub(crate) face_prompt: Option<ImagePrompt>,
    /// What the ReferenceNet finds, `[g, c, r, h', w']` for every feature.
    pub(crate) reference: Option<ReferenceFeatures>,
}

impl Engine {
    /// What `request` is to look like. Networks that are needed for nothing else are gone afterwards.
    ///
    /// # Errors
    /// When the model lacks a network that the request needs, or one cannot be loaded.
    pub(crate) async fn look(
        &self,
        request: &Request,
        text: &Tensor<3>,
        watch: &mut dyn Watch,
    ) -> Result<Look> {
        self.conditioners.check(request, self.unet.variant())?;
        let image_prompt = match (&self.conditioners.image_adapter, &request.image_prompt) {
            (Some(adapter), Some(prompt)) => {
                Some(self.image_prompt(adapter, prompt, request, watch).await?)
            }
            _ => None,
        };
        let face_prompt = match &request.face_prompt {
            Some(prompt) => self.face_prompt(prompt, copies(request), watch)?,
            None => None,
        };
        let tokens = image_prompt.as_ref().map_or(text, |prompt| &prompt.tokens);
        let reference = self.reference(request, tokens.clone(), watch).await?;
        Ok(Look { image_prompt, face_prompt, reference })
    }

    /// The tokens of the image prompt. Those of the unconditional half stand for zeros in place of
    /// what CLIP sees.
    async fn image_prompt(
        &self,
        adapter: &ImageAdapter,
        prompt: &PicturePrompt,
        request: &Request,
        watch: &mut dyn Watch,
    ) -> Result<ImagePrompt> {
        let (copies, size) = (copies(request), request.size);
        let tokens = match (&adapter.projection, &prompt.pictures) {
            (ImageProjection::Patches(resampler), PromptPictures::Pictures(pictures)) => {
                let seen = self.see(adapter, pictures, size, watch).await?;
                let resampler = resampler.get(watch)?;
                guided(seen.penultimate_hidden_state, copies, |states| resampler.forward(states))
            }
            (projection, pictures) => {
                let embeds = match pictures {
                    PromptPictures::Embeddings(embeds) => embeds.clone().cast(self.dtype),
                    PromptPictures::Pictures(pictures) => {
                        self.see(adapter, pictures, size, watch).await?.image_embeds
                    }
                };
                if let ImageProjection::Whole(projection) = projection {
                    let projection = projection.get(watch)?;
                    check_width("ipadapter-image", embeds.dims()[1], projection.embeddings_dim())?;
                    guided(embeds, copies, |embeds| projection.forward(embeds))
                } else {
                    guided(embeds, copies, |embeds| embeds.unsqueeze_dim(1))
                }
            }
        };
        Ok(ImagePrompt { tokens, scale: prompt.scale })
    }

    /// What CLIP sees in `pictures`.
    async fn see(
        &self,
        adapter: &ImageAdapter,
        pictures: &[Frame],
        size: Size,
        watch: &mut dyn Watch,
    ) -> Result<CLIPVisionOutput> {
        let Some(encoder) = &adapter.encoder else {
            return Err(Error::request("ipadapter-image", "the model has no image encoder"));
        };
        let pixels = self.clip_images(pictures, size);
        let seen = encoder.get(watch)?.forward(pixels);
        self.let_go(&seen.image_embeds).await?;
        Ok(seen)
    }

    /// Pictures as CLIP takes them, `[k, 3, 224, 224]`. Like the original this crops twice (quirk
    ///
    fn clip_images(&self, pictures: &[Frame], size: Size) -> Tensor<4> {
        let values = pictures.iter().flat_map(|picture| {
            let picture = fitted(picture, size, picture_at);
            clip_pixel_values(&crop_resize(&picture, size.width, size.height, Filter::Bicubic))
        });
        let shape = [pictures.len(), 3, CLIP_SIZE, CLIP_SIZE];
        let values = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::<4>::from_data(values, &self.device).cast(self.dtype)
    }

    /// The tokens of the faces; those of the unconditional half stand for embeddings of zeros.
    fn face_prompt(
        &self,
        prompt: &FacePrompt,
        copies: usize,
        watch: &mut dyn Watch,
    ) -> Result<Option<ImagePrompt>> {
        let Some(projection) = &self.conditioners.face_adapter else { return Ok(None) };
        let projection = projection.get(watch)?;
        let (faces, width) = (&prompt.embeddings, projection.embeddings_dim());
        for face in faces {
            check_width("face-embedding", face.len(), width)?;
        }
        let embeds = TensorData::new(faces.concat(), [faces.len(), width]);
        let embeds = Tensor::<2>::from_data(embeds, &self.device).cast(self.dtype);
        let tokens = guided(embeds, copies, |embeds| projection.forward(embeds));
        Ok(Some(ImagePrompt { tokens, scale: prompt.scale }))
    }

    /// What the ReferenceNet finds in the reference pictures: both halves of guidance look at the
    /// same latents, each with its own `tokens` `[g, n, c]`.
    async fn reference(
        &self,
        request: &Request,
        tokens: Tensor<3>,
        watch: &mut dyn Watch,
    ) -> Result<Option<ReferenceFeatures>> {
        let Some(net) = &self.conditioners.reference_net else { return Ok(None) };
        let Some(pictures) = request.reference.as_ref().filter(|given| !given.is_empty()) else {
            return Ok(None);
        };
        let latents = fold(self.encode(pictures, request.size, picture_at));
        let latents = latents.repeat_dim(0, copies(request)).cast(self.dtype);
        let tokens = tokens.cast(self.dtype);
        let features = net.get(watch)?.forward(latents, 0.0, tokens, pictures.len());
        self.let_go(&features.mid).await?;
        Ok(Some(features))
    }

    /// Gives back the room of networks that made `result` and were dropped: a device may still be at
    /// work with them, so it is waited for.
    async fn let_go<const D: usize>(&self, result: &Tensor<D>) -> Result<()> {
        if self.conditioners.are_emptied() {
            image_tensor::read(result.clone().narrow(0, 0, 1)).await?;
            self.device.memory_cleanup();
        }
        Ok(())
    }
}

/// Copies of the batch that the denoiser sees.
fn copies(request: &Request) -> usize {
    if request.guidance.is_on() { 2 } else { 1 }
}

/// The tokens that `project` makes of k pictures, one after the other, `[g, k·n, c]`: with guidance
/// first those of zeros.
fn guided<const D: usize>(
    seen: Tensor<D>,
    copies: usize,
    project: impl Fn(Tensor<D>) -> Tensor<3>,
) -> Tensor<3> {
    let mut halves = vec![seen.zeros_like(), seen];
    let tokens = halves.split_off(2 - copies).into_iter().map(|seen| {
        let tokens = project(seen);
        let [pictures, count, channels] = tokens.dims();
        tokens.reshape([1, pictures * count, channels])
    });
    Tensor::cat(tokens.collect(), 0)
}

/// Whether embeddings have as many numbers as their projection takes.
fn check_width(option: &'static str, given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    let reason = format!("an embedding has {given} numbers, and the model reads {wanted}");
    Err(Error::request(option, reason))
}
