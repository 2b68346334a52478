//! The parser of byte strings: `"00 ab f9 0x42"` and its many spellings.

/// What is wrong with a byte string, and the byte index at which it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HexError {
    /// A character that is neither a digit, a prefix nor a separator.
    Stranger { character: char, index: usize },
    /// A digit without a second one directly behind it.
    HalfByte { digit: char, index: usize },
    /// A `0x` or `\x` with no digit directly behind it.
    BarePrefix { index: usize },
}

/// The bytes that `text` spells, in order. After the first error the iterator ends.
///
/// A byte is two hexadecimal digits, one directly after the other. Before a byte may stand a prefix,
/// `0x`, `0X` or `\x`; between bytes white space and any of `, ; : - _ | ' " { } [ ] ( )`.
pub(crate) fn bytes(text: &str) -> Bytes<'_> {
    Bytes { text, at: 0 }
}

pub(crate) struct Bytes<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Bytes<'_> {
    type Item = Result<u8, HexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.text[self.at..];
        let Some((skipped, first)) = rest.char_indices().find(|&(_, c)| !is_separator(c)) else {
            self.at = self.text.len();
            return None;
        };
        self.at += skipped;
        let byte = self.byte(first);
        self.at = if byte.is_ok() { self.at + 2 } else { self.text.len() };
        Some(byte)
    }
}

impl Bytes<'_> {
    /// Reads the byte at `self.at`, whose first character is `first`, and leaves `self.at` on its first digit.
    fn byte(&mut self, first: char) -> Result<u8, HexError> {
        let ascii = self.text.as_bytes();
        let prefix = self.at;
        let prefixed = matches!(ascii[prefix..], [b'0', b'x' | b'X', ..] | [b'\\', b'x', ..]);
        if prefixed {
            self.at += 2;
        }
        let digit = |at: usize| ascii.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (digit(self.at), digit(self.at + 1)) {
            #[expect(clippy::cast_possible_truncation, reason = "two digits of base 16 fit a byte")]
            (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
            (Some(_), None) => Err(HexError::HalfByte { digit: char::from(ascii[self.at]), index: self.at }),
            (None, _) if prefixed => Err(HexError::BarePrefix { index: prefix }),
            (None, _) => Err(HexError::Stranger { character: first, index: self.at }),
        }
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || ",;:-_|'\"{}[]()".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<u8>, HexError> {
        bytes(text).collect()
    }

    #[test]
    fn every_documented_spelling_is_read() {
        let expected = Ok(vec![0x00, 0xab, 0xf9, 0x42]);
        for text in [
            "00 ab f9 0x42",
            "00abf942",
            "0x00ABF942",
            "0X00 0XAB 0XF9 0X42",
            r"\x00\xab\xf9\x42",
            "{0x00, 0xab, 0xf9, 0x42}",
            "[00][ab](f9)'42'",
            "00-ab:f9_42",
            "00;ab|f9\t42\r\n",
            "\"00\u{a0}ab\u{2003}f942\"",
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
        for text in ["", " ", "--", "{}", "\t\r\n,;:-_|'\"{}[]()"] {
            assert_eq!(parse(text), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn every_byte_is_read_in_both_cases() {
        for byte in 0..=255_u8 {
            assert_eq!(parse(&format!("{byte:02x}")), Ok(vec![byte]));
            assert_eq!(parse(&format!("0x{byte:02X}")), Ok(vec![byte]));
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        let stranger = |character, index| Err(HexError::Stranger { character, index });
        let half = |digit, index| Err(HexError::HalfByte { digit, index });
        let bare = |index| Err(HexError::BarePrefix { index });
        for (text, expected) in [
            ("0x4", half('4', 2)),
            ("4 2", half('4', 0)),
            ("42 4", half('4', 3)),
            ("4", half('4', 0)),
            ("4g", half('4', 0)),
            ("4\u{ff11}", half('4', 0)),
            ("zz", stranger('z', 0)),
            ("12 g4", stranger('g', 3)),
            ("12 \u{20ac}", stranger('\u{20ac}', 3)),
            ("\u{ff10}\u{ff11}", stranger('\u{ff10}', 0)),
            ("00x42", stranger('x', 2)),
            ("\\", stranger('\\', 0)),
            ("\\X41", stranger('\\', 0)),
            ("12\\u41", stranger('\\', 2)),
            ("0x", bare(0)),
            ("12 0x 42", bare(3)),
            ("12 \\x", bare(3)),
            ("0xg1", bare(0)),
            ("0x0x42", half('0', 2)),
            ("0", half('0', 0)),
            ("12.34", stranger('.', 2)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_ends_the_iteration() {
        let mut bytes = bytes("11 zz 22");
        assert_eq!(bytes.next(), Some(Ok(0x11)));
        assert_eq!(bytes.next(), Some(Err(HexError::Stranger { character: 'z', index: 3 })));
        assert_eq!(bytes.next(), None);
        assert_eq!(bytes.next(), None);
    }

    #[test]
    fn every_short_text_is_read_as_the_obvious_definition_reads_it() {
        let alphabet = ['0', '4', 'x', 'F', 'g', ' ', '\\', ',', '\u{20ac}'];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts.iter().flat_map(|t| alphabet.iter().map(move |c| format!("{t}{c}")));
            let longer: Vec<String> = longer.collect();
            for text in &longer {
                assert_eq!(parse(text).ok(), obvious(text), "{text:?}");
            }
            texts = longer;
        }
    }

    /// Strip what may stand before a byte, take two digits, repeat.
    fn obvious(text: &str) -> Option<Vec<u8>> {
        let mut rest = text;
        let mut bytes = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if rest.is_empty() {
                return Some(bytes);
            }
            rest = rest.strip_prefix("0x").or(rest.strip_prefix("\\x")).unwrap_or(rest);
            let pair = rest.get(..2).filter(|pair| pair.chars().all(|c| c.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(pair, 16).unwrap());
            rest = &rest[2..];
        }
    }
}
