//! The files of Prometheus and Alertmanager: those in `monitoring/`, with this platform's ports in them.
use super::Plan;
use crate::{
    ports::{Layout, Place},
    services::{ALERTS, find},
    up::data::DataFolder,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::{fs, io, path::Path};

/// Where they are in the data folder.
pub const PROMETHEUS: &str = "prometheus/prometheus.yml";
pub const ALERTMANAGER: &str = "alertmanager/alertmanager.yml";
const TARGETS: &str = "prometheus/targets.json";
const RULES: &str = "prometheus/rules";

const PROMETHEUS_TEMPLATE: &str = include_str!("../../../../monitoring/prometheus/local.yml");
const ALERTMANAGER_TEMPLATE: &str = include_str!("../../../../monitoring/alertmanager/local.yml");

macro_rules! rules {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../../../monitoring/prometheus/rules/training/", $name)))),+]
    };
}

/// With windows short enough to learn from.
const RULE_FILES: [(&str, &str); 5] = rules![
    "business.yml",
    "infrastructure.yml",
    "performance.yml",
    "service-health.yml",
    "slos.yml"
];

/// Writes all of them anew.
pub fn write(plan: &Plan, layout: &Layout, data: &DataFolder) -> anyhow::Result<()> {
    let rules = data.path().join(RULES);
    // What an older version brought must not go on firing.
    match fs::remove_dir_all(&rules) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&rules)?,
    }
    for (name, text) in RULE_FILES {
        put(&rules.join(name), text)?;
    }
    fs::create_dir_all(data.path().join("alertmanager"))?;
    put(
        &data.path().join(PROMETHEUS),
        &filled(PROMETHEUS_TEMPLATE, plan, layout),
    )?;
    put(
        &data.path().join(ALERTMANAGER),
        &filled(ALERTMANAGER_TEMPLATE, plan, layout),
    )?;
    let targets: Vec<Value> = layout.places().map(target).collect();
    put(
        &data.path().join(TARGETS),
        &format!("{:#}", Value::from(targets)),
    )
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// Ports are words in capitals in the templates.
fn filled(template: &str, plan: &Plan, layout: &Layout) -> String {
    let inbox = find(ALERTS).expect("a test checks the table");
    let inbox = layout
        .places_of(inbox)
        .next()
        .expect("at least one replica");
    let ports = [
        ("PROMETHEUS_PORT", plan.prometheus.port),
        ("ALERTMANAGER_PORT", plan.alertmanager.port),
        ("COMMANDER_PORT", inbox.api),
    ];
    ports
        .iter()
        .fold(template.to_owned(), |text, (word, port)| {
            text.replace(word, &port.to_string())
        })
}

/// The labels that pods have in a cluster, where there is the like here. Not `service`: metrics
/// have a label of that name.
fn target(place: Place) -> Value {
    json!({
        "targets": [format!("127.0.0.1:{}", place.ops)],
        "labels": {"job": place.service.name, "replica": place.name(), "namespace": "local"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::PathBuf};

    /// A file of rules that nobody told this binary of would be missing beside `seawall up` alone.
    #[test]
    fn every_file_of_rules_is_in_here() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring/prometheus/rules/training");
        let files = fs::read_dir(folder).expect("rules");
        let names = files.map(|file| {
            file.expect("file")
                .file_name()
                .into_string()
                .expect("UTF-8")
        });
        let names: BTreeSet<_> = names.filter(|name| name.ends_with(".yml")).collect();
        let ours = RULE_FILES.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(ours.collect::<BTreeSet<_>>(), names);
    }

    #[test]
    fn no_word_is_left_where_a_port_belongs() {
        let place = |port| super::super::Place {
            program: PathBuf::new(),
            port,
        };
        let plan = Plan {
            prometheus: place(19_090),
            alertmanager: place(19_093),
        };
        let layout = Layout {
            replicas: 2,
            port: 18_080,
            base_port: 15_000,
        };
        for (template, ports) in [
            (
                PROMETHEUS_TEMPLATE,
                vec!["127.0.0.1:19090", "127.0.0.1:19093"],
            ),
            (ALERTMANAGER_TEMPLATE, vec!["127.0.0.1:15006/"]),
        ] {
            let text = filled(template, &plan, &layout);
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'));
            assert!(!code.clone().any(|line| line.contains("_PORT")), "{text}");
            for port in ports {
                assert!(
                    code.clone().any(|line| line.contains(port)),
                    "{port}: {text}"
                );
            }
        }
    }
}
