//! Every oracle case of `tests/cases` on the device under test.

mod common;

use std::path::Path;

use musev::doctor::cases::{Status, find, run};

#[test]
fn every_case_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let device = common::device();
    let mut failed = Vec::new();
    for case in find(&folder).expect("the cases are part of the repository") {
        let report = pollster::block_on(run(&case, &device));
        println!("{report:?}");
        if report.status != Status::Pass {
            failed.push(format!("{report:?}"));
        }
    }
    assert!(failed.is_empty(), "{} cases do not pass:\n{}", failed.len(), failed.join("\n"));
}
