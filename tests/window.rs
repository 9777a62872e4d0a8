//! Windows and guidance: the tables of the description, and properties of every setting.

use musev::pipeline::guidance::{Guidance, GuidanceMethod};
use musev::pipeline::window::{Window, WindowSchedule, last_positions};
use proptest::prelude::*;

fn windows(
    schedule: WindowSchedule,
    frames: usize,
    overlap: usize,
    total: usize,
) -> Vec<Vec<usize>> {
    Window { schedule, frames, overlap, ..Window::default() }.windows(total).unwrap()
}

fn settings() -> impl Strategy<Value = Window> {
    (1usize..=32)
        .prop_flat_map(|frames| (Just(frames), 0..frames, 1usize..=5, any::<bool>()))
        .prop_map(|(frames, overlap, stride, closed)| Window {
            schedule: if closed { WindowSchedule::Uniform } else { WindowSchedule::UniformV2 },
            frames,
            overlap,
            stride,
            batch_size: 1,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_cover_every_frame_and_stay_inside(settings in settings(), total in 1usize..=200) {
        let windows = settings.windows(total).unwrap();
        let mut seen = vec![0; total];
        for window in &windows {
            prop_assert!(!window.is_empty() && window.len() <= settings.frames);
            for &frame in window {
                prop_assert!(frame < total);
                seen[frame] += 1;
            }
        }
        prop_assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
    }

    #[test]
    fn frames_of_a_window_are_distinct_without_dilation(
        settings in settings(),
        total in 1usize..=200,
    ) {
        let settings = Window { stride: 1, ..settings };
        for window in settings.windows(total).unwrap() {
            prop_assert_eq!(last_positions(&window), (0..window.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn uniform_v2_windows_are_runs_one_step_apart(settings in settings(), total in 1usize..=200) {
        let settings = Window { schedule: WindowSchedule::UniformV2, ..settings };
        let windows = settings.windows(total).unwrap();
        for (i, window) in windows.iter().enumerate() {
            let start = i * (settings.frames - settings.overlap);
            let end = total.min(start + settings.frames);
            prop_assert_eq!(window, &(start..end).collect::<Vec<_>>());
        }
        // Without the window that was dropped at most, the starts go on up to the end of the clip.
        let next = (windows.len() + 1) * (settings.frames - settings.overlap);
        prop_assert!(next >= total);
    }

    #[test]
    fn uniform_windows_are_whole_beyond_one_window(settings in settings(), total in 1usize..=200) {
        let settings = Window { schedule: WindowSchedule::Uniform, ..settings };
        for window in settings.windows(total).unwrap() {
            prop_assert_eq!(window.len(), settings.frames.min(total));
        }
    }

    #[test]
    fn last_positions_hold_each_frame_once(window in prop::collection::vec(0usize..12, 0..20)) {
        let positions = last_positions(&window);
        let mut kept: Vec<usize> = positions.iter().map(|&i| window[i]).collect();
        prop_assert!(positions.is_sorted());
        prop_assert!(positions.iter().all(|&i| !window[i + 1..].contains(&window[i])));
        kept.sort_unstable();
        let mut frames = window.clone();
        frames.sort_unstable();
        frames.dedup();
        prop_assert_eq!(kept, frames);
    }

    #[test]
    fn names_are_read_back(name in "\\PC{0,16}") {
        if let Ok(schedule) = name.parse::<WindowSchedule>() {
            prop_assert_eq!(schedule.to_string(), name.replace('-', "_"));
        }
        if let Ok(method) = name.parse::<GuidanceMethod>() {
            prop_assert_eq!(method.to_string(), name.replace('-', "_"));
        }
    }

    #[test]
    fn guidance_goes_from_its_first_to_its_last_value(
        scale in -20.0f64..20.0,
        end in prop::option::of(-20.0f64..20.0),
        method in prop::sample::select(GuidanceMethod::ALL.to_vec()),
        steps in 4usize..=100,
    ) {
        let scales = Guidance { scale, end, method, ..Guidance::default() }.scales(steps);
        prop_assert_eq!(scales.len(), steps);
        prop_assert_eq!(scales.first(), Some(&scale));
        prop_assert_eq!(scales.last(), Some(&end.unwrap_or(scale)));
    }
}

#[test]
fn a_last_window_that_adds_nothing_is_dropped_once() {
    let v2 = WindowSchedule::UniformV2;
    let starts = |windows: Vec<Vec<usize>>| windows.iter().map(|w| w[0]).collect::<Vec<_>>();
    assert_eq!(starts(windows(v2, 12, 4, 20)), [0, 8]);
    assert_eq!(starts(windows(v2, 12, 4, 21)), [0, 8, 16]);
    // Steps of 1: 0-3, 1-4, 2-5, 3-5, 4-5 remain, only 5-5 goes.
    assert_eq!(starts(windows(v2, 4, 3, 6)), [0, 1, 2, 3, 4]);
}

#[test]
fn uniform_windows_close_the_loop() {
    assert_eq!(windows(WindowSchedule::Uniform, 4, 1, 6), [[0, 1, 2, 3], [3, 4, 5, 0]]);
}

#[test]
fn an_empty_clip_has_no_windows() {
    for schedule in WindowSchedule::ALL {
        assert!(windows(schedule, 12, 4, 0).is_empty());
    }
}

#[test]
fn impossible_windows_are_refused_by_name() {
    let good = Window::default();
    for (settings, option) in [
        (Window { frames: 0, ..good }, "context-frames"),
        (Window { stride: 0, ..good }, "context-stride"),
        (Window { batch_size: 0, ..good }, "context-batch-size"),
        (Window { overlap: 12, ..good }, "context-overlap"),
        (Window { overlap: usize::MAX, ..good }, "context-overlap"),
    ] {
        let error = settings.windows(40).unwrap_err().to_string();
        assert!(error.starts_with(option), "{error}");
    }
    let error = "uniform_v3".parse::<WindowSchedule>().unwrap_err().to_string();
    assert!(error.contains("uniform_v2 or uniform"), "{error}");
}

#[test]
fn settings_are_read_in_the_original_spelling() {
    let window: Window =
        serde_json::from_str(r#"{"schedule": "uniform_v2", "overlap": 2}"#).unwrap();
    assert_eq!(window, Window { overlap: 2, ..Window::default() });
    assert!(serde_json::from_str::<Window>(r#"{"overlapp": 2}"#).is_err());
    let guidance: Guidance = serde_json::from_str(r#"{"method": "fix_two_stage"}"#).unwrap();
    assert_eq!(guidance.method, GuidanceMethod::FixTwoStage);
}

#[test]
fn the_scale_of_the_picture_goes_evenly_to_its_end() {
    let guidance = Guidance { image_scale: 5.0, image_end: Some(2.0), ..Guidance::default() };
    assert_eq!(guidance.image_scales(4), [5.0, 4.0, 3.0, 2.0]);
    assert_eq!(guidance.image_scales(1), [5.0]);
    assert_eq!(Guidance { image_end: None, ..guidance }.image_scales(2), [5.0; 2]);
}

#[test]
fn the_first_scale_decides_whether_there_is_guidance() {
    assert!(Guidance::default().is_on());
    assert!(!Guidance { scale: 1.0, end: Some(7.5), ..Guidance::default() }.is_on());
}

#[test]
fn short_and_impossible_guidance() {
    let method = GuidanceMethod::FixTwoStage;
    let guidance = Guidance { scale: 7.5, end: Some(1.5), method, ..Guidance::default() };
    assert_eq!(guidance.scales(2), [7.5, 7.5]);
    assert_eq!(Guidance { method: GuidanceMethod::Linear, ..guidance }.scales(1), [7.5]);
    // 4.5 rounded down, as the original does.
    let three = Guidance { method: GuidanceMethod::ThreeStage, ..guidance };
    assert_eq!(three.scales(4), [7.5, 4.0, 1.5, 1.5]);
    let error = Guidance { end: Some(f64::NAN), ..guidance }.validate().unwrap_err().to_string();
    assert!(error.starts_with("video-guidance-scale-end"), "{error}");
    for wrong in [-0.5, f64::INFINITY] {
        let image = Guidance { image_scale: wrong, ..guidance };
        let image_end = Guidance { image_end: Some(wrong), ..guidance };
        let motion = Guidance { motion_scale: wrong, ..guidance };
        for (guidance, option) in [
            (image, "image-guidance-scale:"),
            (image_end, "image-guidance-scale-end:"),
            (motion, "motion-guidance-scale:"),
        ] {
            let error = guidance.validate().unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
        }
    }
}
