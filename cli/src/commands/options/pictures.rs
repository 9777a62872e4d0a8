//! Pictures that a video is to look like, and how much they count.

use std::path::PathBuf;

use clap::Args;
use musev::{Error, FacePrompt, ModelFiles, Result, Task, TaskPictures, Text2Video};

use super::values::finite;

/// What a video is to look like, beside its first frame. A task's own pictures go first.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reference, image prompt and face")]
pub(crate) struct Pictures {
    /// Give the video the look of this picture, with a ReferenceNet [default: the picture that it
    /// begins with]
    #[arg(long, value_name = "FILE")]
    pub(crate) referencenet_image_path: Option<PathBuf>,
    /// Read this picture like words, with an IP-Adapter [default: the picture that the video begins
    /// with]
    #[arg(long, value_name = "FILE")]
    pub(crate) ipadapter_image_path: Option<PathBuf>,
    /// Read the face in this picture like words, with an adapter of faces. No face is found yet:
    /// give --face-embedding too.
    #[arg(long, value_name = "FILE")]
    pub(crate) face_image_path: Option<PathBuf>,
    /// Read these faces like words: ArcFace's embeddings in a safetensors or .npy file, a row each.
    #[arg(long, value_name = "FILE")]
    pub(crate) face_embedding: Option<PathBuf>,
    /// Let the image prompt count this much beside the words.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) ip_adapter_scale: f64,
    /// Let the faces count this much beside the words.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) ip_adapter_face_scale: f64,
    /// Read the image prompt in place of the words, where the motion model has no branch to read it
    /// beside them.
    #[arg(long)]
    pub(crate) prompt_only_use_image_prompt: bool,
    /// Take the speed of the motion for this: how many frames of a real video lie between two of
    /// these; only models with a ReferenceNet know it.
    #[arg(long, value_name = "X", default_value_t = 8.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) motion_speed: f64,
    /// Give each shot the look of the end of the one before, not that of the first.
    #[arg(long)]
    pub(crate) no_fixed_refer_image: bool,
    /// Read the end of the shot before like words, not the first image prompt.
    #[arg(long)]
    pub(crate) no_fixed_ip_adapter_image: bool,
    /// Read the face at the end of the shot before, which no face being found yet is refused.
    #[arg(long)]
    pub(crate) no_fixed_refer_face_image: bool,
    /// Make or redraw the first frame without the ReferenceNet.
    #[arg(long)]
    pub(crate) no_redraw_with_referencenet: bool,
    /// Make or redraw the first frame without the image prompt.
    #[arg(long)]
    pub(crate) no_redraw_with_ip_adapter: bool,
    /// Make or redraw the first frame without the faces.
    #[arg(long)]
    pub(crate) no_redraw_with_ip_adapter_face: bool,
}

/// The pictures of a task and where they are from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    /// For the ReferenceNet; none without one.
    pub(crate) reference: Vec<PathBuf>,
    /// For the IP-Adapter; none without one.
    pub(crate) image_prompt: Vec<PathBuf>,
    /// For the face adapter; none without one.
    pub(crate) face: Vec<PathBuf>,
}

impl Pictures {
    /// Sets what all videos of a run have in common.
    pub(crate) fn apply(&self, video: &mut Text2Video) {
        video.shot.motion_speed = self.motion_speed;
        video.ip_adapter_scale = self.ip_adapter_scale;
        video.prompt_only_use_image_prompt = self.prompt_only_use_image_prompt;
        video.fixed_refer_image = !self.no_fixed_refer_image;
        video.fixed_ip_adapter_image = !self.no_fixed_ip_adapter_image;
        video.first_frame.with_reference = !self.no_redraw_with_referencenet;
        video.first_frame.with_image_prompt = !self.no_redraw_with_ip_adapter;
        video.first_frame.with_face = !self.no_redraw_with_ip_adapter_face;
    }

    /// Whether `model` can read what is given here. Pictures of task files that it cannot read are
    /// left aside, as in the original, whose example tasks name them for every model.
    ///
    /// # Errors
    /// Names the option whose network the model lacks.
    pub(crate) fn check(&self, model: &ModelFiles) -> Result<()> {
        let needs = |option, given: &Option<PathBuf>, there: bool, way: &str| {
            if given.is_none() || there {
                return Ok(());
            }
            let reason = format!("the model has no network for it; name one with {way}");
            Err(Error::request(option, reason))
        };
        let reference = (&self.referencenet_image_path, model.reference_net().is_some());
        let way = "--referencenet-model-name musev_referencenet";
        needs("referencenet-image-path", reference.0, reference.1, way)?;
        let way = "--ip-adapter-model-name and --vision-clip-extractor-class-name \
                   ImageClipVisionFeatureExtractor";
        needs("ipadapter-image-path", &self.ipadapter_image_path, model.sees_pictures(), way)?;
        let way = "--ip-adapter-face-model-name IPAdapterFaceID";
        needs("face-image-path", &self.face_image_path, model.reads_faces(), way)?;
        needs("face-embedding", &self.face_embedding, model.reads_faces(), way)?;
        if model.reads_faces() && self.no_fixed_refer_face_image {
            let reason = "faces are not found in pictures yet, so every shot has the same";
            return Err(Error::request("no-fixed-refer-face-image", reason));
        }
        Ok(())
    }

    /// What `task` is to look like with `model`; `condition` are the pictures that it begins with.
    pub(crate) fn chosen(&self, task: &Task, condition: &[PathBuf], model: &ModelFiles) -> Chosen {
        let choose = |there: bool, own: &[PathBuf], given: &Option<PathBuf>| match given {
            _ if !there => Vec::new(),
            _ if !own.is_empty() => own.to_vec(),
            Some(path) => vec![path.clone()],
            None => condition.to_vec(),
        };
        let images = &task.images;
        Chosen {
            reference: choose(
                model.reference_net().is_some(),
                &images.refer_image,
                &self.referencenet_image_path,
            ),
            image_prompt: choose(
                model.sees_pictures(),
                &images.ipadapter_image,
                &self.ipadapter_image_path,
            ),
            face: choose(model.reads_faces(), &images.face_image, &self.face_image_path),
        }
    }

    /// Reads the pictures of a task, which begins with `condition`.
    ///
    /// # Errors
    /// When one cannot be read, or a face is to be found in one.
    pub(crate) fn read(
        &self,
        chosen: &Chosen,
        condition: &[PathBuf],
        model: &ModelFiles,
    ) -> Result<TaskPictures> {
        let read = |paths: &[PathBuf]| {
            paths.iter().map(|path| musev::read_frame(path)).collect::<Result<Vec<_>>>()
        };
        Ok(TaskPictures {
            condition: read(condition)?,
            reference: read(&chosen.reference)?,
            image_prompt: read(&chosen.image_prompt)?,
            faces: if model.reads_faces() { Some(self.faces()?) } else { None },
        })
    }

    fn faces(&self) -> Result<FacePrompt> {
        let Some(path) = &self.face_embedding else {
            let reason = "the face adapter reads ArcFace's embedding of a face, which is not made \
                          from a picture yet; give a safetensors or .npy file with its numbers";
            return Err(Error::request("face-embedding", reason));
        };
        let embeddings = musev::face_embeddings(path)?;
        Ok(FacePrompt { embeddings, scale: self.ip_adapter_face_scale })
    }
}
