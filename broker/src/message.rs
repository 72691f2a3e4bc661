//! Encodes messages for subscribers.

use crate::parser::Publish;
use crate::subscription::Subscription;

const LINE_END: &[u8] = b"\r\n";

/// Appends `MSG` or `HMSG` for one subscription. A client without header support gets the payload only.
pub(crate) fn write(out: &mut Vec<u8>, message: &Publish<'_>, subscription: &Subscription) {
    let header_bytes = message.header_bytes.filter(|bytes| *bytes > 0).unwrap_or(0);
    let with_headers = header_bytes > 0 && subscription.owner.takes_headers();
    let content = if with_headers { message.content } else { &message.content[header_bytes..] };

    out.extend_from_slice(if with_headers { b"HMSG " } else { b"MSG " });
    write_word(out, message.subject);
    write_word(out, &subscription.sid);
    if let Some(reply) = message.reply {
        write_word(out, reply);
    }
    if with_headers {
        write_number(out, header_bytes);
        out.push(b' ');
    }
    write_number(out, content.len());
    out.extend_from_slice(LINE_END);
    out.extend_from_slice(content);
    out.extend_from_slice(LINE_END);
}

fn write_word(out: &mut Vec<u8>, word: &[u8]) {
    out.extend_from_slice(word);
    out.push(b' ');
}

/// Appends decimal digits, without the cost of `fmt` for every message.
fn write_number(out: &mut Vec<u8>, mut number: usize) {
    // 2^64 has 20 digits.
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_decimal(number in any::<usize>()) {
            let mut out = Vec::new();
            write_number(&mut out, number);
            prop_assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
