//! The installation's row: its secret and its epoch.
//!
//! The epoch names one life of the journal. Positions of another life mean nothing, so it is new
//! after the database was copied or restored. Two signs tell:
//!
//! - Device and inode of the database file are not those that its row holds: it was copied, or
//!   replaced.
//! - Each opening draws a random word, kept in the row and in the file `morgana.opening`. They
//!   differ where one of the two was put back to an earlier opening.
//!
//! What puts back all of it under the same inodes (a snapshot of the whole disk) cannot be seen;
//! whoever does that removes `morgana.opening`, which also makes a new epoch.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

use model::{Ambient, InstallationSecret};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use uuid::Uuid;

use crate::{Installation, OpenError, rows};

struct Row {
    epoch: String,
    secret: InstallationSecret,
    opening: String,
    file: String,
}

/// Reads the installation's row, makes it at the first opening, and makes a new epoch where the
/// database is not the file that it was.
pub(crate) fn load(
    connection: &mut Connection,
    directory: &Path,
    database: &Path,
    ambient: &Ambient,
) -> Result<Installation, OpenError> {
    let failed = |source: rusqlite::Error| OpenError::Database {
        operation: "read the installation of",
        path: database.into(),
        source: source.into(),
    };
    let beside = directory.join("morgana.opening");
    let unusable = |source| OpenError::File { path: beside.clone(), source };
    let file = identity_of(database)
        .map_err(|source| OpenError::File { path: database.into(), source })?;
    let known = read_openings(&beside).map_err(unusable)?;
    let opening = random_uuid(ambient);

    let tx =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let kept = read(&tx).map_err(failed)?;
    let is_same = |row: &Row| row.file == file && known.contains(&row.opening);
    let epoch = match &kept {
        Some(row) if is_same(row) => row.epoch.clone(),
        Some(_) | None => random_uuid(ambient),
    };
    let secret = kept
        .as_ref()
        .map_or_else(|| InstallationSecret::new(ambient.bytes()), |row| row.secret.clone());
    // Until the commit both openings are good: a crash in between is no restore.
    let previous = kept.as_ref().filter(|row| is_same(row)).map(|row| row.opening.as_str());
    let both: Vec<&str> = previous.into_iter().chain([opening.as_str()]).collect();
    write_openings(&beside, &both).map_err(unusable)?;
    let row = Row { epoch, secret, opening, file };
    write(&tx, &row, ambient).map_err(failed)?;
    tx.commit().map_err(failed)?;
    write_openings(&beside, &[&row.opening]).map_err(unusable)?;
    Ok(Installation { epoch: row.epoch, secret: row.secret })
}

fn random_uuid(ambient: &Ambient) -> String {
    uuid::Builder::from_random_bytes(ambient.bytes()).into_uuid().to_string()
}

/// Device and inode.
fn identity_of(database: &Path) -> io::Result<String> {
    let file = fs::metadata(database)?;
    Ok(format!("{}:{}", file.dev(), file.ino()))
}

fn read(tx: &Transaction<'_>) -> rusqlite::Result<Option<Row>> {
    let sql = "SELECT epoch, secret, opening, file FROM installation";
    rows::select_one(tx, sql, [], |row| {
        let mut columns = rows::Columns::of(row);
        Ok(Row {
            epoch: columns.string()?,
            secret: InstallationSecret::new(columns.hex()?),
            opening: columns.string()?,
            file: columns.string()?,
        })
    })
}

fn write(tx: &Transaction<'_>, row: &Row, ambient: &Ambient) -> rusqlite::Result<()> {
    let sql = "INSERT INTO installation (one, epoch, secret, created_at, opening, file)
        VALUES (1, ?, ?, ?, ?, ?)
        ON CONFLICT (one) DO UPDATE SET
            epoch = excluded.epoch, opening = excluded.opening, file = excluded.file";
    let secret = rows::hex(row.secret.as_bytes());
    let now = ambient.now().as_micros();
    rows::run(tx, sql, (&row.epoch, secret, now, &row.opening, &row.file))?;
    Ok(())
}

/// The openings that the file beside the database holds; none where it is missing.
fn read_openings(path: &Path) -> io::Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            Ok(text.lines().filter(|line| Uuid::try_parse(line).is_ok()).map(Into::into).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write_openings(path: &Path, openings: &[&str]) -> io::Result<()> {
    let aside = path.with_extension("opening.new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(openings.join("\n").as_bytes())?;
    let directory = fs::File::open(path.parent().unwrap_or(Path::new(".")))?;
    belong(&file, &directory.metadata()?)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    directory.sync_all()
}

/// Gives a file that root made to whom the data directory belongs, who has to read it next time.
fn belong(file: &fs::File, directory: &fs::Metadata) -> io::Result<()> {
    if file.metadata()?.uid() == directory.uid() {
        return Ok(());
    }
    fchown(file, Some(directory.uid()), Some(directory.gid()))
}
