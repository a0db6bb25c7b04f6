//! One input against one target: the only place where a failure is caught.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    path::PathBuf,
    sync::Once,
};

use crate::{Target, Trace, budget::Meter};

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it says, with the place where it was found out.
    pub message: String,
    /// Where two failures are the same defect.
    pub place: String,
    /// The input, made small.
    pub input: Vec<u8>,
    /// Where the input lies.
    pub file: Option<PathBuf>,
}

/// Runs `target` on `input` alone.
///
/// # Errors
/// Where it panics, or costs too much.
pub fn check(target: &Target, input: &[u8]) -> Result<Trace, Failure> {
    let mut trace = Trace::default();
    let meter = Meter::start();
    let ran = caught(|| (target.run)(input, &mut trace));
    let (message, place) = match (ran, meter.verdict()) {
        (Ok(()), None) => return Ok(trace),
        (Ok(()), Some(cost)) => (format!("one input {cost}"), "budget".into()),
        (Err(panic), _) => panic,
    };
    Err(Failure { message, place, input: input.to_vec(), file: None })
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
    /// Whether a target runs on this thread.
    static RUNNING: RefCell<bool> = const { RefCell::new(false) };
}

/// Runs a target with its panics remembered instead of printed.
fn caught(run: impl FnOnce()) -> Result<(), (String, String)> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| match RUNNING.with_borrow(|running| *running) {
            true => PANIC.set(Some(words(info))),
            false => others(info),
        }));
    });
    RUNNING.set(true);
    let ran = panic::catch_unwind(AssertUnwindSafe(run));
    RUNNING.set(false);
    ran.map_err(|_| PANIC.take().unwrap_or_default())
}

fn words(info: &PanicHookInfo<'_>) -> (String, String) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or(payload.downcast_ref::<String>().map(String::as_str));
    (format!("{place}: {}", said.unwrap_or("a panic without words")), place)
}
