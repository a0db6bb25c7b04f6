//! `dd`.

use super::super::{Shell, fs::FsError, limits, run::Io, text};

pub(super) fn dd(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let option = |name: &str| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    let number = |name: &str| option(name).and_then(|text| text::size(&text));
    let bs = number("bs").or_else(|| number("ibs")).unwrap_or(512).max(1);
    let most = limits::MAX_FILE_BYTES as u64;
    let wanted = number("count").map_or(most, |count| count.saturating_mul(bs));
    let skip = number("skip").unwrap_or(0).saturating_mul(bs).min(most) as usize;
    let reach = (wanted.min(most) as usize).saturating_add(skip);
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let bytes = match option("if") {
        None => shell.read_all(io),
        Some(name) => match shell.fs.read(who, &cwd, &name, now, reach) {
            Ok(bytes) => bytes,
            Err(error) => {
                return shell.failed(io, &format!("dd: failed to open '{name}'"), error);
            }
        },
    };
    let bytes = &bytes[skip.min(bytes.len())..reach.min(bytes.len()).max(skip.min(bytes.len()))];
    match option("of") {
        None => shell.say(io, bytes),
        Some(name) => match shell.fs.write(who, &cwd, &name, bytes, false, now) {
            Ok(Some(path)) => shell.wrote(path),
            Ok(None) => {}
            Err(FsError::NoSpace) => {
                return shell.failed(io, &format!("dd: error writing '{name}'"), FsError::NoSpace);
            }
            Err(error) => {
                return shell.failed(io, &format!("dd: failed to open '{name}'"), error);
            }
        },
    }
    if option("status").as_deref() != Some("none") {
        let len = bytes.len() as u64;
        let (whole, part) = (len / bs, u64::from(!len.is_multiple_of(bs)));
        let seconds = 0.000_08 + (shell.draw() % 900) as f64 / 1e7 + len as f64 / 1.1e9;
        let rate = len as f64 / seconds / 1000.0;
        let rate = if rate < 1000.0 {
            format!("{rate:.0} kB/s")
        } else {
            format!("{:.1} MB/s", rate / 1000.0)
        };
        let plural = if len == 1 { "byte" } else { "bytes" };
        let human = if len >= 1024 {
            format!(" ({}, {})", si(len), iec(len))
        } else if len >= 1000 {
            format!(" ({})", si(len))
        } else {
            String::new()
        };
        shell.warn(
            io,
            format!(
                "{whole}+{part} records in\n{whole}+{part} records out\n\
            {len} {plural}{human} copied, {seconds:.9} s, {rate}"
            ),
        );
    }
    0
}

fn si(bytes: u64) -> String {
    if bytes >= 1_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} kB", bytes as f64 / 1e3)
    }
}

fn iec(bytes: u64) -> String {
    if bytes >= 1 << 20 {
        format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
    } else {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    }
}
