//! Netlink framing (RFC 3549, section 2.3): datagrams to messages, and the errors among them.

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
};
use rustix::io::Errno;

use super::errno::Failure;

const HEADER_LEN: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// `NLMSGERR_ATTR_MSG`.
const ATTR_MESSAGE: u16 = 1;

/// One message of a datagram.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Which request it answers; 0 for multicast.
    pub(super) sequence: u32,
    /// The dump changed while it was being read (NLM_F_DUMP_INTR).
    pub(super) interrupted: bool,
    /// What it says.
    pub(super) content: Content<'a>,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Content<'a> {
    /// The end of the answer; the kernel's refusal, if it is one.
    End(Result<(), Failure>),
    /// A piece of the answer.
    Message(Undecoded<'a>),
    /// Messages were lost.
    Overrun,
}

/// A message as it came. It is decoded apart from its neighbours, so that one attribute which the decoder does not
/// know, on one interface of somebody else's, spoils nothing but itself.
#[derive(Debug)]
pub(super) struct Undecoded<'a>(&'a [u8]);

impl Undecoded<'_> {
    /// Its type, `RTM_*`.
    pub(super) fn kind(&self) -> Option<u16> {
        u16_at(self.0, 4)
    }

    /// The message, of the sort that its type calls for.
    pub(super) fn decode<M: NetlinkDeserializable>(&self) -> Option<M> {
        match NetlinkMessage::<M>::deserialize(self.0) {
            Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) => Some(message),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "a netlink message cannot be decoded and is left out");
                None
            }
        }
    }
}

/// The messages of a datagram; a truncated rest is left out.
pub(super) fn frames(datagram: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32_at(rest, 0)? as usize;
        let message = rest.get(..length).filter(|_| length >= HEADER_LEN)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        frame(message)
    })
}

fn frame(message: &[u8]) -> Option<Frame<'_>> {
    let (kind, flags, sequence) = (u16_at(message, 4)?, u16_at(message, 6)?, u32_at(message, 8)?);
    tracing::trace!(kind, flags = format_args!("{flags:#x}"), sequence, "netlink: received");
    let content = match kind {
        ERROR | DONE => Content::End(end(message, kind, flags)),
        OVERRUN => Content::Overrun,
        _ => Content::Message(Undecoded(message)),
    };
    Some(Frame { sequence, interrupted: flags & NLM_F_DUMP_INTR != 0, content })
}

/// Both kinds begin with a number, 0 or a negative error. An error goes on with the request (its header alone if
/// capped), then with attributes; the end of a dump goes on with attributes at once.
fn end(message: &[u8], kind: u16, flags: u16) -> Result<(), Failure> {
    let code = u32_at(message, HEADER_LEN).unwrap_or(0).cast_signed();
    if code >= 0 {
        return Ok(());
    }
    let request = match kind {
        ERROR if flags & NLM_F_CAPPED == 0 => u32_at(message, HEADER_LEN + 4).unwrap_or(0) as usize,
        ERROR => HEADER_LEN,
        _ => 0,
    };
    let attributes = message.get(HEADER_LEN + 4 + request.next_multiple_of(4)..).unwrap_or_default();
    let text = if flags & NLM_F_ACK_TLVS == 0 { None } else { message_text(attributes) };
    Err(Failure { errno: Errno::from_raw_os_error(-code), text })
}

fn message_text(attributes: &[u8]) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (length, kind) = (u16_at(rest, 0)? as usize, u16_at(rest, 2)?);
        if kind == ATTR_MESSAGE {
            let text = String::from_utf8_lossy(rest.get(4..length)?);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_LEN + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    fn only_end(bytes: &[u8]) -> Result<(), Failure> {
        let mut frames = frames(bytes);
        let frame = frames.next().unwrap();
        assert!(frames.next().is_none());
        assert_eq!(frame.sequence, 7);
        let Content::End(result) = frame.content else { panic!("{frame:?}") };
        result
    }

    #[test]
    fn an_error_of_zero_is_an_acknowledgement() {
        assert_eq!(only_end(&message(ERROR, 0, &[0; 20])), Ok(()));
        assert_eq!(only_end(&message(DONE, 0, &[0; 4])), Ok(()));
    }

    #[test]
    fn the_kernels_words_are_read_from_the_extended_ack() {
        let mut body = (-22i32).to_ne_bytes().to_vec();
        body.extend(message(24, 0, &[]));
        body.extend([8u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat());
        body.extend([1, 2, 3, 4]);
        body.extend([11u16.to_ne_bytes(), ATTR_MESSAGE.to_ne_bytes()].concat());
        body.extend(b"no way\0\0");
        let failure = only_end(&message(ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, &body)).unwrap_err();
        assert_eq!(failure, Failure { errno: Errno::INVAL, text: Some("no way".to_owned()) });
    }

    #[test]
    fn a_dump_may_end_in_an_error() {
        let failure = only_end(&message(DONE, 0, &(-2i32).to_ne_bytes())).unwrap_err();
        assert_eq!(failure.errno, Errno::NOENT);
    }

    #[test]
    fn garbage_is_no_message() {
        for bytes in [&[][..], &[1], &[0; 15], &[0; 64], &[255; 64]] {
            assert_eq!(frames(bytes).count(), 0, "{bytes:?}");
        }
    }
}
