//! Parses client commands without copying: a command borrows from the input.
//!
//! The parser has no state. For an incomplete command it returns the minimum input size, and the caller calls it again
//! with the whole input.

use crate::violation::Violation;

/// The size limit of a verb's arguments, as in nats-server. It also bounds subjects.
pub(crate) const MAX_CONTROL_LINE_BYTES: usize = 4096;
/// The longest verb (`CONNECT`), the space after it, and the line's end.
const VERB_ROOM_BYTES: usize = 10;
/// Follows every payload.
const LINE_END: &[u8] = b"\r\n";

/// A client command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Options, as JSON.
    Connect(&'a [u8]),
    Ping,
    Pong,
    /// A server command that has no effect from a client.
    Ignored,
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// `max` counts from the start of the subscription. `None` (absent or invalid) unsubscribes immediately.
    Unsubscribe {
        sid: &'a [u8],
        max: Option<u64>,
    },
    Publish(Publish<'a>),
}

/// A published message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// The size of the header block in `content`. `None` for a PUB.
    pub(crate) header_bytes: Option<usize>,
    /// Header block, then payload.
    pub(crate) content: &'a [u8],
}

/// The result of parsing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A command, and its size in bytes.
    Command(Command<'a>, usize),
    /// The command is incomplete: at least this many bytes are needed.
    Incomplete(usize),
}

/// Parses the first command of `input`.
///
/// # Errors
/// A [`Violation`] as soon as the input cannot become a valid command. The rest of the input is meaningless.
pub(crate) fn parse(input: &[u8], max_payload_bytes: usize) -> Result<Parsed<'_>, Violation> {
    let Some(end) = line_end(input)? else { return Ok(Parsed::Incomplete(input.len() + 1)) };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let (verb, arguments) = split_verb(line);
    if arguments.len() > MAX_CONTROL_LINE_BYTES {
        return Err(Violation::ControlLine);
    }
    let taken = end + 1;
    let command = match Verb::read(verb).ok_or(Violation::UnknownOperation)? {
        Verb::Publish => return publish(input, taken, plain_arguments(arguments)?, max_payload_bytes),
        Verb::PublishWithHeaders => {
            return publish(input, taken, header_arguments(arguments)?, max_payload_bytes);
        }
        Verb::Connect => Command::Connect(arguments),
        Verb::Ping => Command::Ping,
        Verb::Pong => Command::Pong,
        Verb::Ignored => Command::Ignored,
        Verb::Subscribe => subscribe(arguments)?,
        Verb::Unsubscribe => unsubscribe(arguments)?,
    };
    Ok(Parsed::Command(command, taken))
}

enum Verb {
    Connect,
    Ping,
    Pong,
    Ignored,
    Subscribe,
    Unsubscribe,
    Publish,
    PublishWithHeaders,
}

impl Verb {
    const NAMES: [(&[u8], Self); 9] = [
        (b"PUB", Self::Publish),
        (b"HPUB", Self::PublishWithHeaders),
        (b"PING", Self::Ping),
        (b"PONG", Self::Pong),
        (b"SUB", Self::Subscribe),
        (b"UNSUB", Self::Unsubscribe),
        (b"CONNECT", Self::Connect),
        (b"INFO", Self::Ignored),
        (b"+OK", Self::Ignored),
    ];

    /// Matches in any case, as in nats-server.
    fn read(name: &[u8]) -> Option<Self> {
        let found = Self::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, verb)| verb)
    }
}

/// The position of the first `\n`. The first byte alone reveals a peer that speaks another protocol.
fn line_end(input: &[u8]) -> Result<Option<usize>, Violation> {
    if input.first().is_some_and(|first| !b"CPSUHI+cpsuhi".contains(first)) {
        return Err(Violation::UnknownOperation);
    }
    match memchr::memchr(b'\n', input) {
        None if input.len() > MAX_CONTROL_LINE_BYTES + VERB_ROOM_BYTES => Err(Violation::ControlLine),
        end => Ok(end),
    }
}

fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| is_blank(*byte)) {
        Some(blank) => (&line[..blank], line[blank..].trim_ascii()),
        None => (line, b""),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The words of a line. No verb has more than four.
fn words<'a, 'w>(arguments: &'a [u8], space: &'w mut [&'a [u8]; 4]) -> Result<&'w [&'a [u8]], Violation> {
    let mut count = 0;
    for word in arguments.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty()) {
        *space.get_mut(count).ok_or(Violation::Parser)? = word;
        count += 1;
    }
    Ok(&space[..count])
}

/// A PUB's or HPUB's arguments: subject, reply, header bytes, total bytes.
type Announced<'a> = (&'a [u8], Option<&'a [u8]>, Option<usize>, usize);

/// `<subject> [reply] <total>`
fn plain_arguments(arguments: &[u8]) -> Result<Announced<'_>, Violation> {
    match *words(arguments, &mut [b""; 4])? {
        [subject, total] => Ok((subject, None, None, number(total)?)),
        [subject, reply, total] => Ok((subject, Some(reply), None, number(total)?)),
        _ => Err(Violation::Parser),
    }
}

/// `<subject> [reply] <header> <total>`
fn header_arguments(arguments: &[u8]) -> Result<Announced<'_>, Violation> {
    let (subject, reply, header, total) = match *words(arguments, &mut [b""; 4])? {
        [subject, header, total] => (subject, None, number(header)?, number(total)?),
        [subject, reply, header, total] => (subject, Some(reply), number(header)?, number(total)?),
        _ => return Err(Violation::Parser),
    };
    if header > total {
        return Err(Violation::Parser);
    }
    Ok((subject, reply, Some(header), total))
}

fn publish<'a>(
    input: &'a [u8],
    line: usize,
    (subject, reply, header_bytes, total): Announced<'a>,
    max_payload_bytes: usize,
) -> Result<Parsed<'a>, Violation> {
    if total > max_payload_bytes {
        return Err(Violation::MaxPayload);
    }
    let end = line + total;
    let taken = end + LINE_END.len();
    if input.len() < taken {
        return Ok(Parsed::Incomplete(taken));
    }
    if &input[end..taken] != LINE_END {
        return Err(Violation::UnknownOperation);
    }
    let publish = Publish { subject, reply, header_bytes, content: &input[line..end] };
    Ok(Parsed::Command(Command::Publish(publish), taken))
}

/// `<subject> [queue group] <sid>`
fn subscribe(arguments: &[u8]) -> Result<Command<'_>, Violation> {
    match *words(arguments, &mut [b""; 4])? {
        [subject, sid] => Ok(Command::Subscribe { subject, queue: None, sid }),
        [subject, queue, sid] => Ok(Command::Subscribe { subject, queue: Some(queue), sid }),
        _ => Err(Violation::Parser),
    }
}

/// `<sid> [max]`
fn unsubscribe(arguments: &[u8]) -> Result<Command<'_>, Violation> {
    match *words(arguments, &mut [b""; 4])? {
        [sid] => Ok(Command::Unsubscribe { sid, max: None }),
        [sid, max] => Ok(Command::Unsubscribe { sid, max: limit(max) }),
        _ => Err(Violation::Parser),
    }
}

/// nats-server parses nine digits at most. A longer number is invalid and unsubscribes immediately.
const MAX_LIMIT_DIGITS: usize = 9;

fn limit(digits: &[u8]) -> Option<u64> {
    let digits = Some(digits).filter(|digits| digits.len() <= MAX_LIMIT_DIGITS)?;
    number(digits).ok().map(|max| max as u64)
}

/// Parses digits only. Saturates: the caller compares with a limit.
fn number(digits: &[u8]) -> Result<usize, Violation> {
    digits.iter().try_fold(0_usize, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'))),
        _ => Err(Violation::Parser),
    })
}

#[cfg(test)]
mod tests;
