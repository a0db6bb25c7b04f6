//! The data types of RFC 4251 section 5, read from hostile bytes and written.
//!
//! Owns nothing but a cursor; knows no message.

/// A message that ends early or holds an impossible value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// A cursor over a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The message must be over.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.u8()? != 0)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// A string that the daemon handles as a C string: a NUL inside is an error there too.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.string()?;
        match bytes.contains(&0) {
            true => Err(Malformed),
            false => Ok(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

/// A message under construction.
#[derive(Clone, Default, Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A message of this number.
    pub(super) fn message(number: u8) -> Self {
        Self(vec![number])
    }

    /// No message: a blob.
    pub(super) fn blob() -> Self {
        Self::default()
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(super) fn bool(self, value: bool) -> Self {
        self.u8(u8::from(value))
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn string(self, bytes: &[u8]) -> Self {
        self.u32(length(bytes)).raw(bytes)
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.string(text.as_bytes())
    }

    /// A positive integer from its big-endian digits.
    pub(super) fn mpint(self, digits: &[u8]) -> Self {
        let start = digits.iter().position(|&d| d != 0).unwrap_or(digits.len());
        let digits = &digits[start..];
        match digits.first().is_some_and(|d| d & 0x80 != 0) {
            true => self.u32(length(digits) + 1).u8(0).raw(digits),
            false => self.string(digits),
        }
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// No message here comes near 4 GiB: packets end at 256 KiB, output at 8 MiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("messages are bounded far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4251 section 5.
    #[test]
    fn integers_are_written_as_the_rfc_shows() {
        assert_eq!(Writer::blob().mpint(&[]).done(), [0, 0, 0, 0]);
        assert_eq!(
            Writer::blob().mpint(&[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]).done(),
            [0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]
        );
        assert_eq!(Writer::blob().mpint(&[0, 0x80]).done(), [0, 0, 0, 2, 0, 0x80]);
    }
}
