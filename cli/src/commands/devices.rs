//! `musev devices`: what `--device` may name.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::report;

/// Options of `musev devices`.
#[derive(Args, Debug)]
pub(crate) struct DevicesArgs {}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    /// What to give to `--device`.
    device: String,
    name: String,
    kind: String,
    api: String,
    driver: String,
    /// Whether `--device auto` takes this one.
    auto: bool,
}

/// Lists the devices; the one that `--device auto` takes is marked.
pub(crate) fn run(_args: &DevicesArgs, json: bool) -> anyhow::Result<ExitCode> {
    let rows = rows();
    if json {
        rows.iter().try_for_each(report::json_line)?;
    } else {
        print(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rows() -> Vec<Row> {
    let adapters = musev::adapters();
    let automatic = musev::automatic_adapter(&adapters).map(|adapter| adapter.index);
    let mut rows: Vec<Row> = adapters
        .iter()
        .map(|adapter| Row {
            device: format!("wgpu:{}", adapter.index),
            name: adapter.name.clone(),
            kind: adapter.kind.to_string(),
            api: adapter.api.clone(),
            driver: adapter.driver.clone(),
            auto: automatic == Some(adapter.index),
        })
        .collect();
    rows.extend(musev::cuda_devices().into_iter().enumerate().map(|(index, name)| Row {
        device: format!("cuda:{index}"),
        name,
        kind: "discrete".to_owned(),
        api: "cuda".to_owned(),
        driver: String::new(),
        auto: false,
    }));
    rows.push(Row {
        device: "cpu".to_owned(),
        name: musev::cpu_description(),
        kind: "cpu".to_owned(),
        api: String::new(),
        driver: String::new(),
        auto: automatic.is_none(),
    });
    rows
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let heading = ["DEVICE", "NAME", "KIND", "API", "DRIVER"].map(str::to_owned);
    let cells = |row: &Row| {
        let device = if row.auto { format!("{} *", row.device) } else { row.device.clone() };
        [device, row.name.clone(), row.kind.clone(), row.api.clone(), row.driver.clone()]
    };
    let table: Vec<[String; 5]> = std::iter::once(heading).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| {
        table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut out = io::stdout().lock();
    for row in &table {
        let line: String =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\n* what --device auto takes")?;
    if rows.iter().any(|row| row.kind == "software") {
        writeln!(out, "software adapters imitate a GPU on the processor: cpu is faster")?;
    }
    Ok(())
}
