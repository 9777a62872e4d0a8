//! Pictures that a video is to look like, and how much they count.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use musev::{
    Error, FacePrompt, FindFace, ModelFiles, OwnPictures, Result, Task, TaskPictures, Text2Video,
};

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
    /// Read the surest face in this picture like words, with an adapter of faces [default: that in
    /// the picture that the video begins with]
    #[arg(long, value_name = "FILE")]
    pub(crate) face_image_path: Option<PathBuf>,
    /// Read these faces like words: ArcFace's embeddings in a safetensors or .npy file, a row each.
    #[arg(long, value_name = "FILE")]
    pub(crate) face_embedding: Option<PathBuf>,
    /// Find faces with det_10g.onnx and w600k_r50.onnx of InsightFace's pack buffalo_l, in this folder,
    /// or in buffalo_l or models/buffalo_l in it.
    #[cfg(feature = "face")]
    #[arg(long, value_name = "FOLDER", conflicts_with = "face_embedding")]
    pub(crate) face_analysis_path: Option<PathBuf>,
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
    /// Read the face at the end of the shot before like words, not the first one.
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
    ///
    /// # Errors
    /// When the networks that find faces cannot be read.
    pub(crate) fn apply(&self, video: &mut Text2Video) -> Result<()> {
        video.shot.motion_speed = self.motion_speed;
        video.own_pictures = OwnPictures {
            fixed_refer_image: !self.no_fixed_refer_image,
            fixed_ip_adapter_image: !self.no_fixed_ip_adapter_image,
            fixed_refer_face_image: !self.no_fixed_refer_face_image,
            find_face: self.find_face()?,
            ip_adapter_face_scale: self.ip_adapter_face_scale,
            ip_adapter_scale: self.ip_adapter_scale,
            prompt_only_use_image_prompt: self.prompt_only_use_image_prompt,
        };
        video.first_frame.with_reference = !self.no_redraw_with_referencenet;
        video.first_frame.with_image_prompt = !self.no_redraw_with_ip_adapter;
        video.first_frame.with_face = !self.no_redraw_with_ip_adapter_face;
        Ok(())
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
        if !model.reads_faces() {
            return Ok(());
        }
        let finds = self.analysis_path().is_some();
        if self.no_fixed_refer_face_image && !finds {
            let reason = "every shot has the face of --face-embedding; for others there has to be \
                          --face-analysis-path";
            return Err(Error::request("no-fixed-refer-face-image", reason));
        }
        if self.face_embedding.is_none() && !finds {
            let reason = "the face adapter reads ArcFace's embedding of a face: let \
                          --face-analysis-path find it, or give a safetensors or .npy file with its \
                          numbers";
            return Err(Error::request("face-embedding", reason));
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

    /// Reads the pictures of a task, which begins with `condition`, for a video of `model`.
    ///
    /// # Errors
    /// When one cannot be read, or no face is found where there has to be one.
    pub(crate) fn read(
        &self,
        chosen: &Chosen,
        condition: &[PathBuf],
        (model, video): (&ModelFiles, &Text2Video),
    ) -> Result<TaskPictures> {
        let read = |paths: &[PathBuf]| {
            paths.iter().map(|path| musev::read_frame(path)).collect::<Result<Vec<_>>>()
        };
        Ok(TaskPictures {
            condition: read(condition)?,
            reference: read(&chosen.reference)?,
            image_prompt: read(&chosen.image_prompt)?,
            faces: if model.reads_faces() { self.faces(&chosen.face, video)? } else { None },
        })
    }

    /// The given faces, or those in the pictures of `paths`.
    fn faces(&self, paths: &[PathBuf], video: &Text2Video) -> Result<Option<FacePrompt>> {
        let embeddings = match (&self.face_embedding, &video.own_pictures.find_face) {
            (Some(path), _) => musev::face_embeddings(path)?,
            (None, Some(finder)) => {
                let embedding = |path: &PathBuf| {
                    let found = finder.embedding(&musev::read_frame(path)?)?;
                    found.ok_or_else(|| no_face(path))
                };
                paths.iter().map(embedding).collect::<Result<_>>()?
            }
            (None, None) => Vec::new(),
        };
        let scale = self.ip_adapter_face_scale;
        Ok((!embeddings.is_empty()).then_some(FacePrompt { embeddings, scale }))
    }

    /// The folder of InsightFace's networks.
    fn analysis_path(&self) -> Option<&Path> {
        #[cfg(feature = "face")]
        return self.face_analysis_path.as_deref();
        #[cfg(not(feature = "face"))]
        None
    }

    fn find_face(&self) -> Result<Option<Arc<dyn FindFace>>> {
        #[cfg(feature = "face")]
        if let Some(folder) = self.analysis_path() {
            return Ok(Some(Arc::new(musev::FaceEmbedder::open(folder)?)));
        }
        Ok(None)
    }
}

/// That there is no face in the picture at `path`.
pub(crate) fn no_face(path: &Path) -> Error {
    let reason = "no face is found in it; give a picture in which it is larger, brighter and seen \
                  from the front";
    Error::media(path, reason)
}
