//! What may be wrong with a document, and where.

use std::fmt;

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Error {
    /// From 1. Lines end at line feeds.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub problem: Problem,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Problem {
    /// Something else should be here.
    Expected { wanted: &'static str, found: Option<char> },
    /// Text behind the value.
    Trailing,
    /// A string that does not end.
    Unclosed,
    /// A control character in a string, which has to be escaped.
    Control(u8),
    /// A backslash with something else behind it than the few that may be.
    Escape,
    /// Half of a surrogate pair.
    Surrogate(u16),
    /// A number beyond all that an `f64` has.
    TooLarge,
    /// More arrays and objects in each other than this.
    Depth(usize),
    /// A byte that is not UTF-8.
    Utf8,
    /// The arena refused, with this message.
    Memory(String),
}

impl Error {
    /// Finds the line and the column of the byte at `offset`, all of `input` before which is UTF-8.
    #[cold]
    pub(crate) fn at(input: &[u8], offset: usize, problem: Problem) -> Self {
        let before = &input[..offset];
        let before = before.strip_prefix("\u{feff}".as_bytes()).unwrap_or(before);
        let lines = before.split(|&byte| byte == b'\n');
        let last = lines.clone().next_back().unwrap_or_default();
        // Every character has one byte that does not continue another.
        let characters = last.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        Self { line: lines.count(), column: characters + 1, problem }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { wanted, found: Some(found) } => write!(f, "expected {wanted}, found {found:?}"),
            Self::Expected { wanted, found: None } => write!(f, "expected {wanted}, but the text ends here"),
            Self::Trailing => write!(f, "the document has ended, but there is more text"),
            Self::Unclosed => write!(f, "this string has no closing quote"),
            Self::Control(byte) => {
                write!(f, "a control character in a string is to be written as \\u{byte:04x}")
            }
            Self::Escape => write!(
                f,
                "behind a backslash comes one of \" \\ / b f n r t, or u and four hexadecimal digits"
            ),
            Self::Surrogate(half) => {
                write!(f, "\\u{half:04x} is half of a surrogate pair, and the other half is not here")
            }
            Self::TooLarge => write!(f, "this number is larger than any that a 64-bit float can hold"),
            Self::Depth(most) => write!(f, "arrays and objects lie more than {most} deep in each other"),
            Self::Utf8 => write!(f, "this is not UTF-8"),
            Self::Memory(refusal) => write!(f, "no memory for the tree: {refusal}"),
        }
    }
}

impl std::error::Error for Error {}
