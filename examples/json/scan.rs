//! The parts of JSON that are read byte by byte: plain text, numbers, code points.

use super::Problem;

/// How many bytes of `text` a string can have as they are: up to a quote, a backslash, a control character, or the end.
pub(crate) fn plain(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    while let Some(word) = text[at..].first_chunk() {
        let word = u64::from_le_bytes(*word);
        // The high bit of a byte of `x - ONES` is set, where that of `x` is not, in the first byte of `x` that is 0; so too
        // for less than 32. Bytes behind the first may be set wrongly, but only the first is looked at.
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let special = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let special = special & HIGH;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    text[at..].iter().position(special).map_or(text.len(), |offset| at + offset)
}

/// How a number is written.
pub(crate) struct Digits {
    pub len: usize,
    /// Neither a fraction nor an exponent.
    pub integer: bool,
}

/// The number that `text` starts with: a `-` or a digit is there. Otherwise, at which offset what is missing.
pub(crate) fn number(text: &[u8]) -> Result<Digits, (usize, &'static str)> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let some_digits = |from: usize| match digits(from) {
        0 => Err((from, "a digit")),
        count => Ok(from + count),
    };
    let start = usize::from(text[0] == b'-');
    let mut end = some_digits(start)?;
    if text[start] == b'0' && end > start + 1 {
        return Err((start + 1, "no digit behind a leading 0"));
    }
    let mut integer = true;
    if text.get(end) == Some(&b'.') {
        integer = false;
        end = some_digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        integer = false;
        let sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = some_digits(end + 1 + usize::from(sign))?;
    }
    Ok(Digits { len: end, integer })
}

/// The character that `text`, which starts with `\u`, stands for, and how many bytes it is: 6, or 12 for a pair.
pub(crate) fn code_point(text: &[u8]) -> Result<(char, usize), Problem> {
    let first = code_unit(text).ok_or(Problem::Escape)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Ok((character, 6));
    }
    let second = if text[6..].starts_with(b"\\u") { code_unit(&text[6..]) } else { None };
    match char::decode_utf16([first, second.unwrap_or(0)]).next() {
        Some(Ok(character)) => Ok((character, 12)),
        _ => Err(Problem::Surrogate(first)),
    }
}

/// The four hexadecimal digits behind `\u`.
fn code_unit(text: &[u8]) -> Option<u16> {
    let mut unit = 0;
    for &digit in text.get(2..6)? {
        let digit = char::from(digit).to_digit(16)?;
        unit = unit << 4 | u16::try_from(digit).ok()?;
    }
    Some(unit)
}
