//! What one visitor may use up. Hitting a bound looks like an ordinary failure of a small machine.

/// Longest line or command, in bytes; what is beyond is cut off.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 10;
/// Longest command of several lines (here-documents, open quotes), in bytes.
pub(crate) const MAX_PENDING_BYTES: usize = 256 << 10;
/// Most that one line shows on the terminal, in bytes.
pub(crate) const MAX_SHOWN_BYTES: usize = 256 << 10;
/// Most that one pipe or redirection holds, in bytes.
pub(crate) const MAX_PIPE_BYTES: usize = 4 << 20;
/// Most that all commands of one line write, in bytes.
pub(crate) const MAX_WRITTEN_BYTES: usize = 16 << 20;
/// Most commands and loop rounds of one line.
pub(crate) const MAX_STEPS: u32 = 5_000;
/// Deepest nesting of substitutions, compound commands, functions and scripts together.
pub(crate) const MAX_DEPTH: u32 = 24;
/// Most words that one command line expands to.
pub(crate) const MAX_WORDS: usize = 4_096;
/// Most bytes that the words of one command line expand to.
pub(crate) const MAX_EXPANDED_BYTES: usize = 256 << 10;
/// Most variables and functions.
pub(crate) const MAX_NAMES: usize = 512;
/// Longest value of a variable, in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 64 << 10;
/// Lines of history that are kept.
pub(crate) const MAX_HISTORY: usize = 500;
/// Shells within shells (`su`, `sudo -i`, `bash`).
pub(crate) const MAX_SHELLS: usize = 8;
/// Most facts kept between two calls of [`super::Shell::take_facts`].
pub(crate) const MAX_FACTS: usize = 256;
/// Largest file that a visitor can write, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 4 << 20;
/// Most bytes of all files that a visitor wrote.
pub(crate) const MAX_FILES_BYTES: usize = 8 << 20;
/// Most entries that a visitor can add, change or remove.
pub(crate) const MAX_ENTRIES: usize = 4_096;
/// Longest path, in bytes (`PATH_MAX`).
pub(crate) const MAX_PATH_BYTES: usize = 4_095;
/// Longest name of one entry, in bytes (`NAME_MAX`).
pub(crate) const MAX_NAME_BYTES: usize = 255;
/// Most symbolic links in one path.
pub(crate) const MAX_LINKS: u32 = 40;
