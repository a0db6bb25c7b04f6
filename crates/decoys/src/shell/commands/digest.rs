//! Bytes as text and as digests: `base64` and the checksums.

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{
    super::{Shell, fs, machine::hex, run::Io},
    Options,
};

pub(super) fn base64_(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "w");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let bytes = inputs.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
    if options.has('d') || options.long("decode") {
        let clean: Vec<u8> = bytes.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        return match STANDARD.decode(&clean) {
            Ok(bytes) => {
                shell.say(io, bytes);
                u8::from(!well)
            }
            Err(_) => {
                let good = clean.len() / 4 * 4;
                let good = clean
                    .iter()
                    .position(|b| !b.is_ascii_alphanumeric() && !b"+/=".contains(b))
                    .map_or(good, |at| at / 4 * 4);
                shell.say(io, STANDARD.decode(&clean[..good]).unwrap_or_default());
                shell.warn(io, "base64: invalid input");
                1
            }
        };
    }
    let width = options.value('w').and_then(|w| w.parse::<usize>().ok()).unwrap_or(76);
    let text = STANDARD.encode(bytes);
    if width == 0 {
        shell.say(io, text);
    } else {
        for line in text.as_bytes().chunks(width) {
            shell.say(io, [line, b"\n"].concat());
        }
    }
    u8::from(!well)
}

pub(super) fn sum(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let program = fs::base_name(&args[0]).to_owned();
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    for (name, bytes) in inputs {
        let digest = match program.as_str() {
            "md5sum" => hex(&Md5::digest(&bytes)),
            "sha1sum" => hex(&Sha1::digest(&bytes)),
            "sha256sum" => hex(&Sha256::digest(&bytes)),
            _ => hex(&Sha512::digest(&bytes)),
        };
        shell.say(io, format!("{digest}  {name}\n"));
    }
    u8::from(!well)
}
