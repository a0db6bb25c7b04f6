//! The configuration: any file and any flags are taken or refused with words.

use std::{fs, path::PathBuf, sync::OnceLock};

use morgana::config::{Config, KEYS, Sources};
use tempfile::TempDir;

use super::Target;
use crate::Trace;

/// A file; its lines `key=value` are also tried as flags.
pub(super) const TARGET: Target = Target {
    name: "config",
    about: "any configuration file: taken, or refused with words; what was taken is shown as taken",
    words: &[
        "[fleet]\n",
        "[log]\n",
        "[visitors]\n",
        "[mutator]\n",
        "listen = ",
        "data_dir = ",
        "fleet.driver=fake\n",
        "bus = 'off'\n",
        "'127.66'",
        "port_offset = ",
        "poll_seconds = ",
        "level = ",
        "format = 'json'\n",
        "info,morgana=trace",
        "[span{field=1}]=debug",
        "off",
        "loopback",
        "\"\"\"",
        "'''",
        "{ a = 1 }",
        "[[a]]\n",
        "[a.b.c]\n",
        "1979-05-27",
        "inf",
        "nan",
        "0x",
        "1_000",
        "\\u0000",
        "= ",
        "\n",
    ],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let from_file = Sources { file: Some(written(input)), ..Sources::default() };
    check(&from_file, trace);
    let text = String::from_utf8_lossy(input);
    let flags = text.lines().filter_map(|line| line.split_once('='));
    let flags = flags.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    check(&Sources { flags: flags.take(64).collect(), ..Sources::default() }, trace);
}

fn check(sources: &Sources, trace: &mut Trace) {
    match Config::load(false, sources) {
        Ok(config) => {
            let shown = |config: &Config| -> Vec<(String, String)> {
                KEYS.iter().map(|key| (key.name.to_owned(), key.value(config))).collect()
            };
            let flags = shown(&config);
            let again =
                Config::load(false, &Sources { flags: flags.clone(), ..Sources::default() });
            let again = again.unwrap_or_else(|e| panic!("{flags:?} is shown, but refused: {e}"));
            assert_eq!(shown(&again), flags);
            trace.note(flags);
        }
        Err(error) => error.to_string().lines().for_each(|line| trace.note_text(line.as_bytes())),
    }
}

/// A file that says this.
fn written(input: &[u8]) -> PathBuf {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("morgana.toml");
    fs::write(&path, input).expect("a file in a temporary directory");
    path
}
