//! Cases of prompts and task files.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Case, Comparison};
use crate::config::fission;
use crate::error::Result;
use crate::prompt::{fill_template, parse_weights};

/// Kind `prompt_attention`: the runs of equal weight of each text.
pub(super) fn prompt_attention(case: &Case) -> Result<Vec<Comparison>> {
    let mut compared = Vec::new();
    for row in case.rows()? {
        let text: String = field(case, row, "text")?;
        let want: Vec<(String, f64)> = field(case, row, "parts")?;
        let want: Vec<_> = want.into_iter().map(|(text, weight)| (text, weight as f32)).collect();
        let got: Vec<_> =
            parse_weights(&text).into_iter().map(|run| (run.text, run.weight)).collect();
        compared.push(Comparison::exact(text, &got, &want));
    }
    Ok(compared)
}

/// Kind `prompt_template`: the prompts that each task's template gives.
pub(super) fn prompt_template(case: &Case) -> Result<Vec<Comparison>> {
    let mut compared = Vec::new();
    for row in case.rows()? {
        let task: Map<String, Value> = field(case, row, "task")?;
        let want: Vec<String> = field(case, row, "prompts")?;
        let prompt: String = field(case, &row["task"], "prompt")?;
        let name = task.get("template_name").and_then(Value::as_str);
        let got = fill_template(&prompt, name, &task)?;
        compared.push(Comparison::exact(prompt, &got, &want));
    }
    Ok(compared)
}

/// Kind `task_fission`: the tasks that values with alternatives expand to.
pub(super) fn task_fission(case: &Case) -> Result<Vec<Comparison>> {
    let tasks: Vec<Map<String, Value>> = field(case, &case.json, "tasks")?;
    let want: Vec<Map<String, Value>> = field(case, &case.json, "result")?;
    Ok(vec![Comparison::exact("result", &fission(&tasks)?, &want)])
}

fn field<T: DeserializeOwned>(case: &Case, row: &Value, key: &str) -> Result<T> {
    serde_json::from_value(row[key].clone()).map_err(|e| case.error(format!("{key}: {e}")))
}
