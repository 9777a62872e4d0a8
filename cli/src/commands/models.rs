//! From options to the models that they name.

use std::path::{Path, PathBuf};

use musev::{
    ConditionerChoice, Error, LoraChoice, ModelChoice, ModelFiles, ModelSpec, PartChoice, Result,
};

use crate::commands::options::{Conditioners, Model};

/// The models that were asked for, at least one, with their LoRAs and embeddings; the
/// one inside musev if none was.
pub(crate) fn models(args: &Model, conditioners: &Conditioners) -> Result<Vec<ModelFiles>> {
    following(args, conditioners, &FollowedModels::default())
}

/// The networks that follow control maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct FollowedModels {
    /// The ControlNets, each as a path or as a name of the table.
    pub(crate) control_nets: Vec<String>,
    /// The file of the pose guider.
    pub(crate) pose_guider: Option<PathBuf>,
}

/// As [`models`], with networks that follow control maps.
pub(crate) fn following(
    args: &Model,
    conditioners: &Conditioners,
    followed: &FollowedModels,
) -> Result<Vec<ModelFiles>> {
    let root = musev::checkpoint_root(args.model_dir.as_deref());
    let (loras, learned) = (loras(args)?, &args.embeddings);
    let embeddings = learned.chosen(args.model.is_none() && args.names_a_table(), &root)?;
    let with_parts = |model: ModelFiles| {
        let model = model.with_loras(&loras, &args.allow_missing)?;
        model.with_embeddings(&embeddings, learned.embedding_vectors)
    };
    let opened = opened(args, conditioners, followed)?.into_iter();
    opened.map(with_parts).collect()
}

/// The LCM LoRA, if one is named, and the others.
fn loras(args: &Model) -> Result<Vec<LoraChoice>> {
    let choice = ModelChoice {
        table: args.lcm_model_cfg_path.clone(),
        name: args.lcm_model_name.clone().unwrap_or_else(|| "None".to_owned()),
    };
    let root = musev::checkpoint_root(args.model_dir.as_deref());
    let mut loras: Vec<LoraChoice> =
        musev::lcm_lora(&choice, &root)?.map(LoraChoice::from).into_iter().collect();
    for named in &args.lora {
        loras.push(LoraChoice { path: musev::find_model(&named.path, &root)?, ..named.clone() });
    }
    Ok(loras)
}

fn opened(
    args: &Model,
    conditioners: &Conditioners,
    followed: &FollowedModels,
) -> Result<Vec<ModelFiles>> {
    let choice = ConditionerChoice {
        control_nets: followed.control_nets.clone(),
        pose_guider: followed.pose_guider.clone(),
        ..conditioners.choice()?
    };
    let follows = !followed.control_nets.is_empty() || followed.pose_guider.is_some();
    let named = args.model.as_deref();
    let names_parts = args.names_a_table() || conditioners.name_a_network() || follows;
    let is_inside = named.map_or(!names_parts, |name| name == Path::new("mini"));
    if is_inside && let Some(mini) = mini() {
        if follows {
            let reason = "mini has no ControlNets and no pose guider; name another model";
            return Err(Error::request("model", reason));
        }
        if conditioners.name_a_network() {
            let reason = "mini has no ReferenceNet and no adapters; name the base model and \
                          --unet-model-name musev_referencenet instead";
            return Err(Error::request("model", reason));
        }
        return Ok(vec![mini?]);
    }
    let mut specs = match named {
        Some(folder) => vec![ModelSpec::whole(folder)?],
        None => of_tables(args, conditioners)?,
    };
    let root = musev::checkpoint_root(args.model_dir.as_deref());
    for spec in &mut specs {
        choice.apply(&mut spec.conditioners, &root)?;
    }
    specs.iter().map(ModelFiles::open).collect()
}

/// The model inside musev, where it was built in.
fn mini() -> Option<Result<ModelFiles>> {
    #[cfg(feature = "mini")]
    return Some(ModelFiles::mini());
    #[cfg(not(feature = "mini"))]
    None
}

fn of_tables(args: &Model, conditioners: &Conditioners) -> Result<Vec<ModelSpec>> {
    let choice = |table: &Option<PathBuf>, name: &Option<String>, otherwise: &str| ModelChoice {
        table: table.clone(),
        name: name.as_deref().unwrap_or(otherwise).to_owned(),
    };
    let motion = if conditioners.name_a_network() { "musev_referencenet" } else { "musev" };
    ModelSpec::find(
        &choice(&args.sd_model_cfg_path, &args.sd_model_name, "all"),
        &choice(&args.unet_model_cfg_path, &args.unet_model_name, motion),
        &PartChoice { vae: args.vae_model_path.clone(), tokenizer: args.tokenizer.clone() },
        &musev::checkpoint_root(args.model_dir.as_deref()),
    )
}

impl Model {
    /// Whether an option speaks of the tables of models.
    fn names_a_table(&self) -> bool {
        let names = [&self.sd_model_name, &self.unet_model_name, &self.vae_model_path];
        let paths =
            [&self.model_dir, &self.sd_model_cfg_path, &self.unet_model_cfg_path, &self.tokenizer];
        names.iter().any(|name| name.is_some()) || paths.iter().any(|path| path.is_some())
    }
}
