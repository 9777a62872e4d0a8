//! Where the networks of conditions lie: named in the tables of `configs/models`, or given as paths.

use std::path::{Path, PathBuf};

use super::models::{Builtin, ModelChoice, Table};
use crate::error::{Error, Result};
use crate::files::Files;

/// The file that comes with one of MuseV's motion models, without its extension.
const IMAGE_PROJ: &str = "ip_adapter_image_proj";

const REFERENCE_NET: Builtin =
    ("configs/models/referencenet.yaml", include_str!("../../configs/models/referencenet.yaml"));
const IP_ADAPTER: Builtin =
    ("configs/models/ip_adapter.yaml", include_str!("../../configs/models/ip_adapter.yaml"));
const IMAGE_ENCODER: Builtin =
    ("configs/models/image_encoder.yaml", include_str!("../../configs/models/image_encoder.yaml"));
const CONTROL_NET: Builtin =
    ("configs/models/controlnet.yaml", include_str!("../../configs/models/controlnet.yaml"));

/// The image encoder that is taken where none is named.
pub const DEFAULT_IMAGE_ENCODER: &str = "image_encoder";

/// Where the networks of conditions lie. Those that are absent are not part of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConditionerSpec {
    /// Folder of the ReferenceNet.
    pub reference_net: Option<PathBuf>,
    /// File of the image prompt (IP-Adapter): its projection, and maybe keys and values for the UNet.
    pub image_adapter: Option<PathBuf>,
    /// Folder of the image encoder that the image prompt reads.
    pub image_encoder: Option<PathBuf>,
    /// File of the face prompt (IP-Adapter FaceID).
    pub face_adapter: Option<PathBuf>,
    /// Folders or files of the ControlNets.
    pub control_nets: Vec<PathBuf>,
    /// File of the pose guider.
    pub pose_guider: Option<PathBuf>,
}

/// How the user names the networks of conditions. What is not named stays as the model has it, and
/// the name "None" without a table takes it away.
#[derive(Clone, Debug, Default)]
pub struct ConditionerChoice {
    /// The ReferenceNet.
    pub reference_net: Option<ModelChoice>,
    /// The image prompt.
    pub image_adapter: Option<ModelChoice>,
    /// The image encoder, as a path or as a name of the table.
    pub image_encoder: Option<String>,
    /// The face prompt.
    pub face_adapter: Option<ModelChoice>,
    /// The ControlNets, each as a path or as a name of the table.
    pub control_nets: Vec<String>,
    /// The pose guider, as a path.
    pub pose_guider: Option<PathBuf>,
}

impl ConditionerSpec {
    /// The name of the ReferenceNet: that of its folder, or of the motion model that it lies in.
    pub fn reference_net_name(&self) -> Option<String> {
        let folder = self.reference_net.as_deref()?;
        let name = |folder: &Path| Some(folder.file_name()?.to_string_lossy().into_owned());
        let inside = name(folder).filter(|name| name == "referencenet");
        inside.and_then(|_| name(folder.parent()?)).or_else(|| name(folder))
    }

    /// What lies beside the motion model of `unet` in `folder`, as MuseV's checkpoints lie: the
    /// folder `referencenet` and the file `ip_adapter_image_proj` with the motion model, and the
    /// image encoder in `image_encoder` or `IP-Adapter/models/image_encoder`.
    pub(super) fn beside(files: &Files, folder: &Path, unet: &Path) -> Self {
        let dir = |path: PathBuf| files.is_dir(&path).then_some(path);
        let motion = |name: &str| unet.with_file_name(name);
        let reference_net = dir(unet.join("referencenet")).or_else(|| {
            // The pose model goes with the ReferenceNet of the other.
            let posing = unet == motion("musev_referencenet_pose");
            dir(motion("musev_referencenet").join("referencenet")).filter(|_| posing)
        });
        let image_adapter = ["bin", "safetensors"]
            .map(|extension| unet.join(format!("{IMAGE_PROJ}.{extension}")))
            .into_iter()
            .find(|file| files.is_file(file));
        let image_encoder = dir(folder.join("image_encoder"))
            .or_else(|| dir(folder.join("IP-Adapter/models/image_encoder")))
            .filter(|_| image_adapter.is_some());
        Self { reference_net, image_adapter, image_encoder, ..Self::default() }
    }
}

impl ConditionerChoice {
    /// Puts what is named in the place of what `spec` has.
    ///
    /// # Errors
    /// When a name is in no table (the known ones are listed) or a path does not exist.
    pub fn apply(&self, spec: &mut ConditionerSpec, root: &Path) -> Result<()> {
        let named = |choice: &Option<ModelChoice>, builtin, part, place: &mut Option<PathBuf>| {
            if let Some(choice) = choice {
                *place = found(choice, builtin, root, part)?;
            }
            Ok(())
        };
        named(&self.reference_net, REFERENCE_NET, "ReferenceNet", &mut spec.reference_net)?;
        named(&self.image_adapter, IP_ADAPTER, "IP-Adapter", &mut spec.image_adapter)?;
        named(&self.face_adapter, IP_ADAPTER, "face adapter", &mut spec.face_adapter)?;
        let listed = |name: &str, builtin, part| path_or_name(name, builtin, root, part);
        if let Some(name) = &self.image_encoder {
            spec.image_encoder = Some(listed(name, IMAGE_ENCODER, "image encoder")?);
        }
        if !self.control_nets.is_empty() {
            let nets = self.control_nets.iter().map(|name| listed(name, CONTROL_NET, "ControlNet"));
            spec.control_nets = nets.collect::<Result<_>>()?;
        }
        if let Some(path) = &self.pose_guider {
            spec.pose_guider = Some(existing(path.clone(), "pose guider")?);
        }
        Ok(())
    }
}

/// What `choice` names, `None` for the name "None" without a table.
pub(super) fn found(
    choice: &ModelChoice,
    builtin: Builtin,
    root: &Path,
    part: &str,
) -> Result<Option<PathBuf>> {
    let path = match (choice.name.as_str(), &choice.table) {
        ("None", None) => return Ok(None),
        ("None", Some(path)) => path.clone(),
        (name, table) => Table::open(table.as_deref(), builtin, root)?.get(name)?.0,
    };
    existing(path, part).map(Some)
}

fn path_or_name(name: &str, builtin: Builtin, root: &Path, part: &str) -> Result<PathBuf> {
    if Path::new(name).exists() {
        return Ok(PathBuf::from(name));
    }
    let table = Table::open(None, builtin, root)?;
    let reason = format!("is neither a path nor a known {part}");
    existing(table.known(name, &reason)?, part)
}

fn existing(path: PathBuf, part: &str) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path);
    }
    let reason = format!(
        "the {part} is not there; put it there, give its path, or name the folder of all models \
         with model-dir or MUSEV_MODELS"
    );
    Err(Error::checkpoint(path, reason))
}
