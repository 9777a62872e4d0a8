//! Task files that are right.

use std::path::{Path, PathBuf};

use musev::config::task::TASK_KEYS;
use musev::config::{NegativePrompts, Task, TaskFile, fission};
use musev::prompt::fill_template;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The tasks of a file of this name and text.
pub(crate) fn tasks(name: &str, text: &str) -> Result<Vec<Task>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    TaskFile::open(&path).and_then(|file| file.select("all")).map_err(|e| e.to_string())
}

fn example() -> TaskFile {
    TaskFile::open(Path::new("configs/tasks/example.yaml")).unwrap()
}

#[test]
fn the_example_is_read_whole() {
    let file = example();
    assert_eq!(file.names(), ["astronaut", "cat", "coffee", "sea"]);
    let tasks = file.select("all").unwrap();
    assert_eq!(tasks.len(), 5);
    let table = NegativePrompts::builtin().unwrap();
    for task in &tasks {
        assert!(task.images.condition_images.iter().all(|path| path.is_file()), "{}", task.name);
        assert_eq!(task.images.refer_image, task.images.condition_images);
        let prompts =
            fill_template(&task.prompt, task.template_name.as_deref(), &task.attributes).unwrap();
        assert!(!prompts[0].contains('{'));
        if let Some(name) = &task.negative_prompt {
            table.get(name).unwrap();
        }
    }
    assert_eq!(tasks[1].size.width, Some(451));
    assert_eq!(tasks[1].size.img_length_ratio, Some(1.3));
    assert!(tasks[4].prompt.contains("{time_of_day}"));
    assert_eq!(tasks[4].attributes["time_of_day"], "dusk");
}

#[test]
fn tasks_are_chosen_by_name() {
    let names = |targets: &str| -> Vec<String> {
        example().select(targets).unwrap().into_iter().map(|task| task.name).collect()
    };
    assert_eq!(names("coffee, astronaut"), ["astronaut", "coffee"]);
    assert_eq!(names("sea"), ["sea", "sea"]);
    // The original looks for the name anywhere in the list's text.
    assert!(names("ea").is_empty());
}

#[test]
fn every_key_is_read() {
    let text = "- name: 7\n  prompt: p\n  condition_images: [a.png, b.png]\n  \
        condition_images_index: [0, -1]\n  refer_image: r.png\n  ipadapter_image: i.png\n  \
        face_image: f.png\n  video_path: v.mp4\n  height: '64'\n  width: 128.0\n  \
        img_length_ratio: '1.5'\n  motion_speed: 4\n  w_ind_noise: 0.25\n  img_weight: 1e-3\n  \
        redraw_condition_image: true\n  negative_prompt: V1\n  video_negative_prompt: V3\n  \
        style: anime\n  sex: girl\n  template_name: portrait\n  video_is_middle: 'True'\n  \
        video_has_condition: false\n";
    let task = tasks("t.yaml", text).unwrap().remove(0);
    assert_eq!(task.name, "7");
    assert_eq!(task.images.condition_images, [PathBuf::from("a.png"), PathBuf::from("b.png")]);
    assert_eq!(task.images.condition_images_index, Some(vec![0, -1]));
    assert_eq!(task.images.face_image, [PathBuf::from("f.png")]);
    assert_eq!((task.size.height, task.size.width), (Some(64), Some(128)));
    assert_eq!(task.size.img_length_ratio, Some(1.5));
    assert_eq!(task.motion_speed, Some(4.0));
    assert_eq!((task.w_ind_noise, task.img_weight), (Some(0.25), Some(0.001)));
    assert_eq!(task.redraw_condition_image, Some(true));
    assert_eq!(task.video.video_path, Some(PathBuf::from("v.mp4")));
    assert_eq!(
        (task.video.video_is_middle, task.video.video_has_condition),
        (Some(true), Some(false))
    );
    assert_eq!(task.attributes.len(), TASK_KEYS.len());
}

#[test]
fn null_is_absent_and_names_are_optional() {
    let text = "- prompt: a\n  height: null\n  condition_images:\n- prompt: b\n";
    let tasks = tasks("t.yml", text).unwrap();
    assert_eq!(tasks[0].name, "0");
    assert_eq!(tasks[1].name, "1");
    assert_eq!(tasks[0].size.height, None);
    assert!(tasks[0].images.condition_images.is_empty());
}

#[test]
fn paths_beside_the_task_file_are_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("only-here.png"), "").unwrap();
    let path = folder.path().join("t.yaml");
    std::fs::write(&path, "- prompt: p\n  condition_images: [only-here.png, Cargo.toml, x]\n")
        .unwrap();
    let task = TaskFile::open(&path).unwrap().select("all").unwrap().remove(0);
    let expected = [folder.path().join("only-here.png"), "Cargo.toml".into(), "x".into()];
    assert_eq!(task.images.condition_images, expected);
}

#[test]
fn tables_are_read() {
    let text = "\u{feff}name,prompt,height,hair,video_path\n\
        a,\"x, {hair}\",64,\"long, red\",\nb,y|z,,,v.mp4\n";
    let tasks = tasks("tasks.csv", text).unwrap();
    assert_eq!(tasks.len(), 3);
    assert_eq!(tasks[0].size.height, Some(64));
    assert_eq!(tasks[0].attributes["hair"], "long, red");
    assert_eq!(tasks[0].video.video_path, None);
    assert_eq!(tasks[2].prompt, "z");
}

#[test]
fn recorded_fission() {
    let case = std::fs::read_to_string("tests/cases/task_fission/case.json").unwrap();
    let case: Value = serde_json::from_str(&case).unwrap();
    let tasks: Vec<Map<String, Value>> = serde_json::from_value(case["tasks"].clone()).unwrap();
    let want: Vec<Map<String, Value>> = serde_json::from_value(case["result"].clone()).unwrap();
    assert_eq!(fission(&tasks).unwrap(), want);
}

#[test]
fn a_portrait_may_use_any_of_its_keys() {
    let text = "- prompt: 'a portrait of {}'\n  template_name: portrait\n  hair: red\n  age: 20\n";
    let task = tasks("t.yaml", text).unwrap().remove(0);
    let filled =
        fill_template(&task.prompt, task.template_name.as_deref(), &task.attributes).unwrap();
    assert_eq!(filled, ["a portrait of 20-year-old, red hair"]);
}

proptest! {
    #[test]
    fn fission_makes_every_combination(a in 1usize..6, b in 1usize..6) {
        let list = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join("|");
        let task = json!({"prompt": list(a), "seed": 1, "name": list(b)});
        let task: Map<String, Value> = serde_json::from_value(task).unwrap();
        let expanded = fission(&[task]).unwrap();
        prop_assert_eq!(expanded.len(), a * b);
        let last = &expanded[a * b - 1];
        prop_assert_eq!(&last["prompt"], &json!((a - 1).to_string()));
        prop_assert_eq!(&last["name"], &json!((b - 1).to_string()));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = tasks("t.yaml", &text);
        let _ = tasks("t.csv", &text);
    }

    #[test]
    fn no_yaml_panics(text in r"[-:\[\]{}&*!|>'$.,a-c0-9# \n]{0,80}") {
        let _ = tasks("t.yaml", &text);
    }
}
