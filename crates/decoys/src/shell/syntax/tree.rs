//! What a text of the shell means: lists of pipelines of commands, made of words.

use std::sync::Arc;

/// Commands one after another.
pub(crate) type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    /// `true` is `&&`.
    pub(crate) rest: Vec<(bool, Pipeline)>,
    pub(crate) background: bool,
}

/// Commands joined by `|`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

/// One command with its redirections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) line: u32,
}

/// What a command is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Simple { assigns: Vec<(String, Word)>, words: Vec<Word> },
    If { arms: Vec<(List, List)>, otherwise: List },
    For { name: String, words: Option<Vec<Word>>, body: List },
    While { until: bool, condition: List, body: List },
    Case { word: Word, arms: Vec<(Vec<Word>, List)> },
    Group(List),
    Subshell(List),
    Function { name: String, body: Arc<Command> },
}

/// One redirection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redirect {
    pub(crate) fd: u32,
    pub(crate) to: Target,
}

/// Where it goes to or comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `&>`: both outputs.
    Both(Word),
    Duplicate(u32),
    Close,
    /// A here-document or here-string.
    Here(Word),
}

/// One word before expansion.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Word(pub(crate) Vec<Part>);

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$name`, or what stands in `${…}`.
    Variable {
        text: String,
        quoted: bool,
    },
    /// The text in `$(…)` or backticks.
    Substitution {
        text: String,
        quoted: bool,
    },
    /// The text in `$((…))`.
    Arithmetic {
        text: String,
        quoted: bool,
    },
    /// `~` or `~name` at the start of a word.
    Tilde(String),
}

/// Why a text is no list of commands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SyntaxError {
    /// More lines could make it one; where the text ends instead, this quote stands open.
    Incomplete(Option<char>),
    /// This token cannot stand there.
    Unexpected(String),
}
