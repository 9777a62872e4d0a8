//! Where the maps of `musev detect` go.

use std::fs;

use super::sandbox::Sandbox;

const TILE: [&str; 2] = ["--controlnet-name", "tile"];

#[test]
fn an_output_that_cannot_be_written_is_told_before_the_input_is_read() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out/clip.gif")).expect("it is new");
    for output in ["missing/edges.mp4", "missing/edges.png", "out/clip.gif"] {
        let words = ["detect", "nowhere.mp4", "-o", output];
        sandbox.refuses(&[&words[..], &TILE].concat(), &[output]);
    }
}

#[test]
fn a_map_replaces_an_older_one_and_leaves_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.write("out/a.png", "an older one");
    // Not the place of a single map, whatever is in it.
    fs::create_dir(sandbox.path("out/a")).expect("it is new");
    sandbox.write("out/a/diary.txt", "dear");
    sandbox.succeed(&[&["detect", "picture.png", "-o", "out/a.png"][..], &TILE].concat());
    let map = musev::read_frame(&sandbox.path("out/a.png")).expect("it was replaced");
    assert_eq!((map.width, map.height), (64, 64));
    assert_eq!(sandbox.list("out"), ["a", "a.png"]);
}
