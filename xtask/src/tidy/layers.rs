//! The direction of dependencies between the crates.
//!
//! The table below is the crate table of the architecture. A crate that is not
//! in it fails, so that a new one is a decision and not an accident.

use toml::{Table, Value};

use super::Finding;
use crate::error::{Error, Result};

/// What the dependencies of one crate may be.
struct Layer {
    name: &'static str,
    /// Crates of this workspace.
    inner: &'static [&'static str],
    /// Crates from elsewhere; `None` where the architecture sets no limit.
    outer: Option<&'static [&'static str]>,
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "asyn-core",
        inner: &[],
        outer: Some(&[
            "crossbeam-utils",
            "libc",
            "loom",
            "ndarray",
            "ndarray-rand",
            "parking_lot",
            "rustc-hash",
            "thiserror",
        ]),
    },
    Layer {
        name: "asyn-sync",
        inner: &["asyn-core"],
        outer: Some(&["crossbeam-utils", "loom", "parking_lot", "rayon", "thiserror"]),
    },
    Layer { name: "asyn-data", inner: &[], outer: None },
    Layer {
        name: "asyn-models",
        inner: &["asyn-core", "asyn-data"],
        outer: Some(&["ndarray", "thiserror"]),
    },
    Layer { name: "asyn-testing", inner: &["asyn-core"], outer: None },
    Layer { name: "asyn-report", inner: &[], outer: None },
    Layer {
        name: "asyn",
        inner: &["asyn-core", "asyn-data", "asyn-models", "asyn-report", "asyn-sync"],
        outer: None,
    },
    Layer {
        name: "asyn-bench",
        inner: &["asyn", "asyn-core", "asyn-data", "asyn-models", "asyn-sync"],
        outer: None,
    },
    Layer { name: "xtask", inner: &["asyn-report"], outer: None },
];

/// The crates that any other may use in its tests and examples: the oracles, and the
/// strategies, which an example of the core shows side by side.
const TESTING: &[&str] = &["asyn-testing", "asyn-sync"];

/// Finds dependencies that point the wrong way.
///
/// # Errors
///
/// [`Error::Manifest`] when `text` is not TOML.
pub(super) fn check(path: &str, text: &str) -> Result<Vec<Finding>> {
    let manifest: Table =
        text.parse().map_err(|source| Error::Manifest { path: path.to_owned(), source })?;
    let folder = path.strip_suffix("/Cargo.toml").unwrap_or_default();
    let name = match folder.strip_prefix("crates/") {
        Some(name) => name,
        None if folder == "xtask" => folder,
        None => return Ok(Vec::new()),
    };
    let finding = |message: String| Finding::error(path, 0, "layers", message);
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        let message = format!("crate {name} is not in the table of xtask's tidy/layers.rs");
        return Ok(vec![finding(message)]);
    };
    let may = |dependency: &str, for_tests: bool| {
        if LAYERS.iter().any(|layer| layer.name == dependency) {
            layer.inner.contains(&dependency) || (for_tests && TESTING.contains(&dependency))
        } else {
            for_tests || layer.outer.is_none_or(|outer| outer.contains(&dependency))
        }
    };
    Ok(dependencies(&manifest)
        .into_iter()
        .filter(|(dependency, for_tests)| !may(dependency, *for_tests))
        .map(|(dependency, _)| finding(format!("{name} may not depend on {dependency}")))
        .collect())
}

/// Returns the dependencies in `manifest`, those of targets included, each with
/// whether it is for tests only.
fn dependencies(manifest: &Table) -> Vec<(String, bool)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let mut found = Vec::new();
    for table in tables {
        for (key, for_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let listed = table.get(key).and_then(Value::as_table);
            for (name, value) in listed.into_iter().flatten() {
                // A renamed dependency says its real name in `package`.
                let real = value.get("package").and_then(Value::as_str);
                found.push((real.unwrap_or(name).to_owned(), for_tests));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let found = check(path, text).unwrap();
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_lower_layer_may_not_use_a_higher_one() {
        let text = "[dependencies]\nasyn-data.workspace = true\n";
        assert_eq!(
            messages("crates/asyn-core/Cargo.toml", text),
            ["asyn-core may not depend on asyn-data"]
        );
        assert!(messages("crates/asyn-models/Cargo.toml", text).is_empty());
    }

    #[test]
    fn the_core_has_a_short_list_of_outer_crates() {
        let text = "[dependencies]\nserde = \"1\"\nndarray = \"0.17\"\n";
        assert_eq!(
            messages("crates/asyn-core/Cargo.toml", text),
            ["asyn-core may not depend on serde"]
        );
        assert!(messages("crates/asyn-data/Cargo.toml", text).is_empty());
    }

    #[test]
    fn tests_may_use_the_oracles_and_any_outer_crate() {
        let text = "[dev-dependencies]\nasyn-testing = { path = \"x\" }\nproptest = \"1\"\n";
        assert!(messages("crates/asyn-core/Cargo.toml", text).is_empty());
        let text = "[dependencies]\nasyn-testing = { path = \"x\" }\n";
        assert_eq!(messages("crates/asyn-core/Cargo.toml", text).len(), 1);
    }

    #[test]
    fn targets_and_new_names_hide_nothing() {
        let text = "[target.'cfg(unix)'.dependencies]\nd = { package = \"asyn-data\" }\n";
        assert_eq!(messages("crates/asyn-core/Cargo.toml", text).len(), 1);
    }

    #[test]
    fn an_unknown_crate_and_a_broken_manifest_are_told() {
        assert_eq!(messages("crates/asyn-new/Cargo.toml", "").len(), 1);
        assert!(messages("fuzz/Cargo.toml", "").is_empty());
        assert!(check("Cargo.toml", "[").is_err());
    }
}
