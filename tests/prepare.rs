//! Tasks become videos: sizes, lengths, prompts and pictures as the original prepares them.

use musev::{
    Error, Frame, Length, NegativePrompts, Size, Task, TaskDefaults, TaskImages, TaskSize,
    Text2Video,
};
use serde_json::json;

fn defaults() -> TaskDefaults {
    TaskDefaults {
        video: Text2Video::default(),
        length: Length::Shot(12),
        width: None,
        height: None,
        img_length_ratio: 1.0,
        negative_prompt: "V1".to_owned(),
        video_negative_prompt: "V2".to_owned(),
        add_static_video_prompt: false,
        negative_prompts: NegativePrompts::builtin().unwrap(),
    }
}

fn prepare(defaults: &TaskDefaults, task: &Task, pictures: Vec<Frame>) -> Text2Video {
    let mut videos = defaults.prepare(task, pictures).unwrap();
    assert_eq!(videos.len(), 1);
    videos.remove(0)
}

fn picture(width: usize, height: usize) -> Vec<Frame> {
    vec![Frame::filled(width, height, [0, 0, 0])]
}

/// The option that a refusal names, with its reason.
fn refused(defaults: &TaskDefaults, task: &Task, pictures: Vec<Frame>) -> (&'static str, String) {
    match defaults.prepare(task, pictures) {
        Err(Error::Request { option, reason }) => (option, reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn the_size_is_the_tasks_else_the_runs_else_the_pictures() {
    let size = |task: TaskSize, run: (Option<usize>, Option<usize>), pictures| {
        let defaults = TaskDefaults { width: run.0, height: run.1, ..defaults() };
        let size = prepare(&defaults, &Task { size: task, ..Task::default() }, pictures).shot.size;
        (size.width, size.height)
    };
    let none = TaskSize::default;
    let task = TaskSize { width: Some(200), ..none() };
    assert_eq!(size(task, (Some(300), Some(300)), picture(400, 400)), (192, 256));
    assert_eq!(size(none(), (Some(300), None), picture(400, 450)), (256, 448));
    assert_eq!(size(none(), (None, None), picture(127, 1000)), (64, 960));
    assert_eq!(size(none(), (None, None), Vec::new()), (512, 512));
    let ratio = TaskSize { img_length_ratio: Some(1.3), ..none() };
    assert_eq!(size(ratio, (Some(451), Some(300)), Vec::new()), (576, 384));
}

#[test]
fn sizes_that_cannot_work_are_refused() {
    let size =
        |width, ratio| TaskDefaults { width: Some(width), img_length_ratio: ratio, ..defaults() };
    let task = Task::default();
    assert_eq!(refused(&size(63, 1.0), &task, Vec::new()).0, "width");
    assert!(refused(&size(100, 0.5), &task, Vec::new()).1.contains("100 times 0.5"));
    assert_eq!(refused(&size(100_000, 1.0), &task, Vec::new()).0, "width");
    assert_eq!(refused(&size(512, f64::NAN), &task, Vec::new()).0, "img-length-ratio");
    assert_eq!(refused(&size(512, 0.0), &task, Vec::new()).0, "img-length-ratio");
}

#[test]
fn given_pictures_count_into_the_whole_but_not_into_a_shot() {
    let frames = |length, pictures| {
        prepare(&TaskDefaults { length, ..defaults() }, &Task::default(), pictures).shot.frames
    };
    assert_eq!(frames(Length::Shot(12), picture(64, 64)), 12);
    assert_eq!(frames(Length::Shot(12), Vec::new()), 12);
    assert_eq!(frames(Length::Whole(40), picture(64, 64)), 39);
    assert_eq!(frames(Length::Whole(40), [picture(64, 64), picture(64, 64)].concat()), 38);
    assert_eq!(frames(Length::Whole(40), Vec::new()), 40);
    let mut unconditioned = defaults();
    unconditioned.video.n_vision_condition = 0;
    unconditioned.length = Length::Whole(40);
    assert_eq!(prepare(&unconditioned, &Task::default(), picture(64, 64)).shot.frames, 40);
}

#[test]
fn lengths_that_cannot_work_are_refused() {
    let length = |length| TaskDefaults { length, ..defaults() };
    let task = Task::default();
    assert_eq!(refused(&length(Length::Whole(1)), &task, picture(64, 64)).0, "frames");
    assert_eq!(refused(&length(Length::Whole(1)), &task, Vec::new()).0, "frames");
    assert_eq!(refused(&length(Length::Shot(0)), &task, Vec::new()).0, "frames");
    let mut shots = length(Length::Shot(3));
    shots.video.shots = 2;
    shots.video.n_vision_condition = 4;
    assert_eq!(refused(&shots, &task, picture(64, 64)).0, "n-vision-condition");
    shots.video.n_vision_condition = 3;
    assert_eq!(prepare(&shots, &task, picture(64, 64)).shots, 2);
}

#[test]
fn negative_prompts_are_keys_of_the_table_or_text() {
    let table = NegativePrompts::builtin().unwrap();
    let video = prepare(&defaults(), &Task::default(), Vec::new());
    assert_eq!(video.first_frame.negative, table.get("V1").unwrap());
    assert_eq!(video.shot.prompt.negative, table.get("V2").unwrap());

    let negative =
        |text: &str| Task { video_negative_prompt: Some(text.to_owned()), ..Task::default() };
    let video = prepare(&defaults(), &negative("blurred, dark"), Vec::new());
    assert_eq!(video.shot.prompt.negative, "blurred, dark");
    let error = defaults().prepare(&negative("V9"), Vec::new()).unwrap_err();
    assert!(error.to_string().contains("V9"), "{error}");

    let still = TaskDefaults { add_static_video_prompt: true, ..defaults() };
    let video = prepare(&still, &negative("Empty"), Vec::new());
    assert_eq!(video.shot.prompt.negative, "static video, ");
}

#[test]
fn a_task_wins_over_the_run() {
    let task = Task {
        w_ind_noise: Some(0.25),
        img_weight: Some(0.01),
        redraw_condition_image: Some(true),
        ..Task::default()
    };
    let video = prepare(&defaults(), &task, picture(64, 64));
    let noise = video.shot.sampling.noise;
    assert_eq!((noise.w_ind_noise, noise.img_weight), (0.25, Some(0.01)));
    assert!(video.redraw_condition_image);

    let mut without = defaults();
    without.video.shot.sampling.noise.img_weight = None;
    let video = prepare(&without, &task, picture(64, 64));
    assert_eq!(video.shot.sampling.noise.img_weight, None);
}

#[test]
fn prompts_of_task_files_are_templates_and_others_are_not() {
    let plain = Task { prompt: "a {brace} ,, b".to_owned(), ..Task::default() };
    let video = prepare(&defaults(), &plain, Vec::new());
    assert_eq!(video.shot.prompt.positive, plain.prompt);

    let attributes = json!({ "prompt": "a {mood} sea", "mood": "calm" });
    let filled = Task {
        prompt: "a {mood} sea".to_owned(),
        attributes: attributes.as_object().unwrap().clone(),
        ..Task::default()
    };
    assert_eq!(prepare(&defaults(), &filled, Vec::new()).shot.prompt.positive, "a calm sea");
}

#[test]
fn positions_of_pictures_are_checked() {
    let at = |positions: &[i64]| Task {
        images: TaskImages {
            condition_images_index: Some(positions.to_vec()),
            ..TaskImages::default()
        },
        ..Task::default()
    };
    let video = prepare(&defaults(), &at(&[-1]), picture(64, 64));
    let vision = video.shot.vision.unwrap();
    assert_eq!((vision.frames.len(), vision.positions), (1, vec![-1]));
    assert_eq!(video.shot.size, Size { width: 64, height: 64 });
    for wrong in [&[13][..], &[-14], &[0, 1]] {
        assert_eq!(refused(&defaults(), &at(wrong), picture(64, 64)).0, "condition_images_index");
    }
}
