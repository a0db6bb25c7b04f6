//! Which crate may depend on which. A new edge is a decision about the architecture: it is made
//! here first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each crate with all that it may depend on in the workspace; development dependencies are
/// free. `testkit` is itself for development only.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &["bus", "exports", "maze", "model", "store"]),
    (
        "app",
        &[
            "activities",
            "api",
            "bus",
            "decoys",
            "exports",
            "fleet",
            "intel",
            "maze",
            "model",
            "store",
        ],
    ),
    ("activities", &["model"]),
    ("bus", &["model"]),
    ("decoys", &["model"]),
    ("exports", &["model"]),
    ("fleet", &["maze", "model"]),
    ("intel", &["model"]),
    ("maze", &["model"]),
    ("model", &[]),
    ("store", &["model"]),
    ("testkit", &["app", "model"]),
];

/// Tables of a manifest whose dependencies end up in the binary.
const TABLES: [&str; 2] = ["dependencies", "build-dependencies"];

#[test]
fn crates_depend_only_along_the_listed_edges() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let manifests = manifests();
    let ours = package_names(&manifests);
    let mut surprises = Vec::new();
    for (name, manifest) in &manifests {
        let Some(may) = allowed.get(name.as_str()) else {
            surprises.push(format!("crate {name} is not in the list"));
            continue;
        };
        for edge in edges(manifest, &ours) {
            if !may.contains(&edge.as_str()) {
                surprises.push(format!("{name} depends on {edge}"));
            }
        }
    }
    assert!(surprises.is_empty(), "not along the list of edges: {surprises:#?}");
}

#[test]
fn edges_are_found_in_every_spelling() {
    let manifest: toml::Table = r#"
        [dependencies]
        model.workspace = true
        morgana-maze = { path = "../maze" }
        alias = { package = "morgana-bus", path = "../bus" }
        serde = "1"
        [build-dependencies]
        store = { workspace = true }
        [dev-dependencies]
        testkit.workspace = true
        [target.'cfg(unix)'.dependencies]
        fleet.workspace = true
    "#
    .parse()
    .unwrap();
    let names = ["model", "maze", "bus", "store", "testkit", "fleet"];
    let ours = names
        .iter()
        .flat_map(|name| {
            [(format!("morgana-{name}"), (*name).into()), ((*name).into(), (*name).into())]
        })
        .collect();
    let found: Vec<String> = edges(&manifest, &ours).into_iter().collect();
    assert_eq!(found, ["bus", "fleet", "maze", "model", "store"]);
}

#[test]
fn every_dependency_is_used() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut unused = Vec::new();
    for (name, manifest) in manifests() {
        let named = TABLES.iter().filter_map(|table| manifest.get(*table)?.as_table());
        let source = source_below(&crates.join(&name).join("src"));
        for dependency in named.flat_map(toml::Table::keys) {
            // The one package whose library has another name.
            let library = if dependency == "md-5" { "md5" } else { dependency };
            let library = library.replace('-', "_");
            let words = [format!("{library}::"), format!("use {library};"), format!("{library}!(")];
            if !words.iter().any(|word| source.contains(word)) {
                unused.push(format!("{name}: {dependency}"));
            }
        }
    }
    assert!(unused.is_empty(), "nothing uses {unused:?}");
}

/// All Rust source below a directory, as one text.
fn source_below(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => source_below(&path),
            false if path.extension().is_some_and(|e| e == "rs") => {
                fs::read_to_string(&path).unwrap()
            }
            false => String::new(),
        })
        .collect()
}

/// The manifest of every crate, by the name of its directory.
fn manifests() -> BTreeMap<String, toml::Table> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest_of = |directory: PathBuf| {
        let text = fs::read_to_string(directory.join("Cargo.toml")).ok()?;
        let name = directory.file_name()?.to_str()?.to_owned();
        Some((name, text.parse().unwrap()))
    };
    let directories = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path());
    let manifests: BTreeMap<_, _> = directories.filter_map(manifest_of).collect();
    assert!(manifests.contains_key("model") && manifests.contains_key("app"));
    manifests
}

/// Every word for a crate of ours (its directory, its package) with its directory.
fn package_names(manifests: &BTreeMap<String, toml::Table>) -> BTreeMap<String, String> {
    let both = |(directory, manifest): (&String, &toml::Table)| {
        let package = manifest["package"]["name"].as_str().unwrap().to_owned();
        [(directory.clone(), directory.clone()), (package, directory.clone())]
    };
    manifests.iter().flat_map(both).collect()
}

/// The crates of ours that a manifest depends on, outside of tests.
fn edges(manifest: &toml::Table, ours: &BTreeMap<String, String>) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let platforms = targets.into_iter().flat_map(toml::Table::values);
    let tables = platforms.filter_map(toml::Value::as_table).chain([manifest]);
    tables
        .flat_map(|table| TABLES.iter().filter_map(|name| table.get(*name)?.as_table()))
        .flatten()
        .filter_map(|(key, dependency)| {
            let package = dependency.get("package").and_then(toml::Value::as_str);
            ours.get(package.unwrap_or(key)).cloned()
        })
        .collect()
}
