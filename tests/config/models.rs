//! Tables of models.

use std::path::{Path, PathBuf};

use musev::config::{
    ConditionerChoice, ConditionerSpec, ModelChoice, ModelSettings, ModelSpec, PartChoice, Variant,
    checkpoint_root, lcm_lora,
};

fn choice(table: Option<PathBuf>, name: &str) -> ModelChoice {
    ModelChoice { table, name: name.to_owned() }
}

/// A checkpoint folder with these folders.
fn root(folders: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in folders {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    root
}

const MAJIC: &str = "t2i/sd1.5/majicmixRealv6Fp16";

fn find(base: &str, unet: &str, vae: &str, root: &Path) -> Result<Vec<ModelSpec>, String> {
    ModelSpec::find(&choice(None, base), &choice(None, unet), &named(vae), root)
        .map_err(|e| e.to_string())
}

/// This VAE, and the base model's tokenizer.
fn named(vae: &str) -> PartChoice {
    PartChoice { vae: Some(vae.to_owned()), tokenizer: None }
}

#[test]
fn names_become_folders() {
    let root = root(&[MAJIC, "motion/musev", "vae/sd-vae-ft-mse"]);
    let expected = ModelSpec {
        name: "majicmixRealv6Fp16".to_owned(),
        base: root.path().join(MAJIC),
        tokenizer: root.path().join(MAJIC).join("tokenizer"),
        unet: root.path().join("motion/musev"),
        vae: root.path().join("vae/sd-vae-ft-mse"),
        variant: Some(Variant::Musev),
        conditioners: ConditionerSpec::default(),
        settings: ModelSettings::default(),
    };
    for base in ["majicmixRealv6Fp16", "all"] {
        let found = find(base, "musev", "sd-vae-ft-mse", root.path()).unwrap();
        assert_eq!(found, std::slice::from_ref(&expected));
    }
}

#[test]
fn none_means_the_path_itself() {
    let root = root(&["my.model", "motion", "vae"]);
    let at = |folder: &str| root.path().join(folder);
    let base = choice(Some(at("my.model")), "None");
    let unet = choice(Some(at("motion")), "None");
    let vae = at("vae").display().to_string();
    let found = ModelSpec::find(&base, &unet, &named(&vae), root.path()).unwrap().remove(0);
    assert_eq!((found.name.as_str(), &found.base), ("my", &at("my.model")));
    assert_eq!((found.unet, found.vae), (at("motion"), at("vae")));
}

#[test]
fn lcm_loras_are_looked_up_like_models() {
    let root = root(&["lcm/lcm-lora-sdv1-5"]);
    let find = |table, name| lcm_lora(&choice(table, name), root.path());
    assert_eq!(find(None, "None").unwrap(), None);
    let error = find(None, "lcm-lora-sdv1-5").unwrap_err().to_string();
    assert!(error.contains("not there"), "{error}");
    let file = root.path().join("lcm/lcm-lora-sdv1-5/pytorch_lora_weights.safetensors");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(find(None, "lcm-lora-sdv1-5").unwrap().as_ref(), Some(&file));
    assert_eq!(find(Some(file.clone()), "None").unwrap(), Some(file));
    assert!(find(None, "lcm").unwrap_err().to_string().contains("lcm-lora-sdv1-5"));
}

#[test]
fn a_single_file_brings_its_vae_and_borrows_a_tokenizer() {
    let root = root(&["motion", "files", "vae/sd-vae-ft-mse"]);
    let file = root.path().join("files/model.safetensors");
    std::fs::write(&file, b"").unwrap();
    let base = choice(Some(file.clone()), "None");
    let motion = choice(Some(root.path().join("motion")), "None");
    let find = |parts: &PartChoice| ModelSpec::find(&base, &motion, parts, root.path());

    let error = find(&PartChoice::default()).unwrap_err().to_string();
    assert!(error.starts_with("tokenizer: ") && error.contains("model.safetensors"), "{error}");

    let of_the_table = root.path().join(MAJIC).join("tokenizer");
    std::fs::create_dir_all(&of_the_table).unwrap();
    let found = find(&PartChoice::default()).unwrap().remove(0);
    assert_eq!((&found.vae, &found.tokenizer), (&file, &of_the_table));

    let beside = root.path().join("files/tokenizer");
    std::fs::create_dir(&beside).unwrap();
    assert_eq!(find(&PartChoice::default()).unwrap()[0].tokenizer, beside);

    let given = PartChoice { tokenizer: Some("mine".into()), ..named("sd-vae-ft-mse") };
    let found = find(&given).unwrap().remove(0);
    assert_eq!(found.tokenizer, Path::new("mine"));
    assert_eq!(found.vae, root.path().join("vae/sd-vae-ft-mse"));
}

#[test]
fn own_tables_are_read() {
    let root = root(&["b", "m", "vae/sd-vae-ft-mse"]);
    let bases = root.path().join("bases.yaml");
    let motion = root.path().join("motion.yaml");
    std::fs::write(&bases, "one: b\ntwo: {path: b}\n").unwrap();
    std::fs::write(&motion, "m: {path: m, variant: musev}\n").unwrap();
    let found = ModelSpec::find(
        &choice(Some(bases.clone()), "one, two"),
        &choice(Some(motion.clone()), "m"),
        &named("sd-vae-ft-mse"),
        root.path(),
    );
    let names: Vec<_> = found.unwrap().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["one", "two"]);

    std::fs::write(&motion, "m: {path: m, variant: other}\n").unwrap();
    let found = ModelSpec::find(
        &choice(Some(bases), "one"),
        &choice(Some(motion), "m"),
        &named("x"),
        root.path(),
    );
    assert!(found.unwrap_err().to_string().contains("motion.yaml"));
}

#[test]
fn unknown_and_missing_models_say_what_there_is() {
    let root = root(&[MAJIC, "motion/musev", "vae/sd-vae-ft-mse"]);
    let here = root.path();
    for (base, unet, vae, expected) in [
        ("majicmixReal", "musev", "sd-vae-ft-mse", "did you mean `majicmixRealv6Fp16`?"),
        ("majicmixReal", "musev", "sd-vae-ft-mse", "fantasticmix_v10, majicmixRealv6Fp16"),
        ("fantasticmix_v10", "musev", "sd-vae-ft-mse", "the base model is not there"),
        ("all", "muse", "sd-vae-ft-mse", "did you mean `musev`?"),
        ("all", "musev", "sd-vae", "neither a path nor a known VAE"),
        ("None", "musev", "sd-vae-ft-mse", "sd_model_name"),
        ("all", "None", "sd-vae-ft-mse", "unet_model_name"),
    ] {
        let error = find(base, unet, vae, here).unwrap_err();
        assert!(error.contains(expected), "{base} {unet} {vae}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let error = find("all", "musev", "sd-vae-ft-mse", empty.path()).unwrap_err();
    assert!(error.contains("no base model"), "{error}");
    let folder = choice(Some(here.join(MAJIC)), "all");
    let error = ModelSpec::find(&folder, &choice(None, "musev"), &named("sd-vae-ft-mse"), here);
    assert!(error.unwrap_err().to_string().contains("is a folder"));
}

#[test]
fn a_given_folder_wins() {
    assert_eq!(checkpoint_root(Some(Path::new("x"))), PathBuf::from("x"));
}

#[test]
fn variants_are_known_by_name_and_otherwise_by_their_tensors() {
    let folders = ["musev", "musev_referencenet", "musev_referencenet_pose"];
    let motion = folders.map(|name| format!("motion/{name}"));
    let all = [MAJIC, "vae/sd-vae-ft-mse", &motion[0], &motion[1], &motion[2]];
    let root = root(&all);
    let variant = |name: &str| find("all", name, "sd-vae-ft-mse", root.path()).unwrap()[0].variant;
    assert_eq!(variant("musev"), Some(Variant::Musev));
    assert_eq!(variant("musev_referencenet"), Some(Variant::MusevReferencenet));
    assert_eq!(variant("musev_referencenet_pose"), Some(Variant::MusevReferencenet));
    let own = choice(Some(root.path().join("motion/musev")), "None");
    let found = ModelSpec::find(&choice(None, "all"), &own, &named("sd-vae-ft-mse"), root.path());
    assert_eq!(found.unwrap()[0].variant, None);
}

#[test]
fn networks_of_conditions_are_named_or_given_as_paths() {
    let reference = "motion/musev_referencenet/referencenet";
    let encoder = "IP-Adapter/models/image_encoder";
    let canny = "controlnet/control_v11p_sd15_canny";
    let root = root(&[reference, encoder, canny]);
    let at = |path: &str| root.path().join(path);
    for name in ["IP-Adapter/models/ip-adapter-faceid_sd15.bin", "mine.bin"] {
        std::fs::write(at(name), b"").unwrap();
    }
    let choices = ConditionerChoice {
        reference_net: Some(choice(None, "musev_referencenet_pose")),
        image_adapter: Some(choice(Some(at("mine.bin")), "None")),
        image_encoder: Some("image_encoder".to_owned()),
        face_adapter: Some(choice(None, "IPAdapterFaceID")),
        control_nets: vec!["canny".to_owned(), at(encoder).display().to_string()],
        pose_guider: Some(at("mine.bin")),
    };
    let mut spec = ConditionerSpec::default();
    choices.apply(&mut spec, root.path()).unwrap();
    let expected = ConditionerSpec {
        reference_net: Some(at(reference)),
        image_adapter: Some(at("mine.bin")),
        image_encoder: Some(at(encoder)),
        face_adapter: Some(at("IP-Adapter/models/ip-adapter-faceid_sd15.bin")),
        control_nets: vec![at(canny), at(encoder)],
        pose_guider: Some(at("mine.bin")),
    };
    assert_eq!(spec, expected);
    assert_eq!(spec.reference_net_name().as_deref(), Some("musev_referencenet"));
    // What is not named stays, and None takes away.
    let away = ConditionerChoice {
        reference_net: Some(choice(None, "None")),
        ..ConditionerChoice::default()
    };
    away.apply(&mut spec, root.path()).unwrap();
    assert_eq!(spec, ConditionerSpec { reference_net: None, ..expected });
    for (choice, needle) in [
        (ConditionerChoice { control_nets: vec!["cany".into()], ..Default::default() }, "`canny`"),
        (ConditionerChoice { control_nets: vec!["hed".into()], ..Default::default() }, "not there"),
        (ConditionerChoice { pose_guider: Some(at("x")), ..Default::default() }, "pose guider"),
    ] {
        let error = choice.apply(&mut spec, root.path()).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }
}
