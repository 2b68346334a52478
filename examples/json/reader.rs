//! Reads JSON (RFC 8259) into a tree that lives in an arena.
//!
//! Text with no escape in it is borrowed from the input, as the caller still has that; text with escapes is written out into
//! the arena. A caller who wants to give up the input first asks for copies of all text: [`Options::copy_text`].
//! Elements are gathered on a stack and copied into the arena once their number is known, so the arena holds nothing
//! but the tree.

use std::fmt;
use std::str;

use mallocator::Mallocator;

pub(crate) use problem::{Error, Problem};

mod problem;
mod scan;
mod writer;

/// What the reader wants of an arena.
pub(crate) trait Arena {
    /// Why the arena refuses.
    type Refusal: fmt::Display;

    /// Copies `elements` into the arena.
    fn slice<T: Copy>(&self, elements: &[T]) -> Result<&[T], Self::Refusal>;

    /// Copies `text` into the arena.
    fn text(&self, text: &str) -> Result<&str, Self::Refusal>;
}

impl Arena for Mallocator {
    type Refusal = mallocator::Error;

    #[inline]
    fn slice<T: Copy>(&self, elements: &[T]) -> Result<&[T], mallocator::Error> {
        self.try_alloc_slice_copy(elements).map(|copy| &*copy)
    }

    #[inline]
    fn text(&self, text: &str) -> Result<&str, mallocator::Error> {
        self.try_alloc_str(text).map(|copy| &*copy)
    }
}

/// A value and all that is in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// A number with no fraction and no exponent that fits, exactly.
    Integer(i64),
    /// Any other number, as the nearest that there is.
    Number(f64),
    String(&'a str),
    Array(&'a [Value<'a>]),
    /// The members in the order in which they were written. Where a name comes twice, so it does here.
    Object(&'a [Member<'a>]),
}

/// A name and its value.
pub(crate) type Member<'a> = (&'a str, Value<'a>);

/// How to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How many arrays and objects may lie in each other.
    pub depth: usize,
    /// Whether text with no escape is copied as well, so that the tree does not borrow the input.
    pub copy_text: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { depth: 256, copy_text: false }
    }
}

/// Reads one value with nothing but white space around it. A byte order mark in front is passed over.
pub(crate) fn read<'a, A: Arena>(
    input: &'a [u8],
    arena: &'a A,
    options: Options,
) -> Result<Value<'a>, Error> {
    let text = str::from_utf8(input).map_err(|error| Error::at(input, error.valid_up_to(), Problem::Utf8))?;
    let mut reader = Reader {
        arena,
        options,
        text,
        at: if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
        open: 0,
        elements: Vec::new(),
        members: Vec::new(),
        unescaped: String::new(),
    };
    reader.document().map_err(|problem| Error::at(input, reader.at, problem))
}

struct Reader<'a, A> {
    arena: &'a A,
    options: Options,
    text: &'a str,
    /// The offset of the next byte; when something is wrong, of what is wrong.
    at: usize,
    /// How many arrays and objects are open.
    open: usize,
    /// The elements so far of all arrays that are open, the innermost last.
    elements: Vec<Value<'a>>,
    /// The members so far of all objects that are open.
    members: Vec<Member<'a>>,
    /// The text so far of a string with escapes.
    unescaped: String,
}

impl<'a, A: Arena> Reader<'a, A> {
    fn document(&mut self) -> Result<Value<'a>, Problem> {
        self.skip_white_space();
        let value = self.value()?;
        self.skip_white_space();
        if self.peek().is_some() { Err(Problem::Trailing) } else { Ok(value) }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Value<'a>, Problem> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Boolean(true)),
            Some(b'f') => self.word("false", Value::Boolean(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Problem> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.expected("a value"))
        }
    }

    /// Reads what an opening bracket opens, unless that is too deep.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value<'a>, Problem>,
    ) -> Result<Value<'a>, Problem> {
        if self.open == self.options.depth {
            return Err(Problem::Depth(self.options.depth));
        }
        self.open += 1;
        self.at += 1;
        self.skip_white_space();
        let value = read(self)?;
        self.open -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value<'a>, Problem> {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(&[]));
        }
        let first = self.elements.len();
        loop {
            let element = self.value()?;
            self.elements.push(element);
            if self.closes(b']', "`,` or `]`")? {
                break;
            }
        }
        let elements = self.arena.slice(&self.elements[first..]).map_err(|refusal| refused(&refusal))?;
        self.elements.truncate(first);
        Ok(Value::Array(elements))
    }

    fn object(&mut self) -> Result<Value<'a>, Problem> {
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(&[]));
        }
        let first = self.members.len();
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in quotes"));
            }
            let name = self.string()?;
            self.skip_white_space();
            if self.peek() != Some(b':') {
                return Err(self.expected("`:`"));
            }
            self.at += 1;
            self.skip_white_space();
            let value = self.value()?;
            self.members.push((name, value));
            if self.closes(b'}', "`,` or `}`")? {
                break;
            }
        }
        let members = self.arena.slice(&self.members[first..]).map_err(|refusal| refused(&refusal))?;
        self.members.truncate(first);
        Ok(Value::Object(members))
    }

    /// Whether the array or object ends here. If not, there was a comma, and the next element starts here.
    #[inline]
    fn closes(&mut self, bracket: u8, expected: &'static str) -> Result<bool, Problem> {
        self.skip_white_space();
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                self.skip_white_space();
                Ok(false)
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Problem> {
        let digits = scan::number(&self.text.as_bytes()[self.at..]);
        let digits = digits.map_err(|(offset, wanted)| {
            self.at += offset;
            self.expected(wanted)
        })?;
        let text = &self.text[self.at..self.at + digits.len];
        let integer = if digits.integer && text != "-0" { text.parse().ok() } else { None };
        let value = if let Some(integer) = integer {
            Value::Integer(integer)
        } else {
            // What is a number in JSON is one in Rust; `inf` is what Rust makes of one that is too large.
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Number(number),
                _ => return Err(Problem::TooLarge),
            }
        };
        self.at += digits.len;
        Ok(value)
    }

    /// Reads a string, of which the opening quote is next.
    fn string(&mut self) -> Result<&'a str, Problem> {
        let start = self.at + 1;
        let length = scan::plain(&self.text.as_bytes()[start..]);
        self.at = start + length;
        let plain = &self.text[start..self.at];
        if self.peek() != Some(b'"') {
            return self.string_with_escapes(start - 1, plain);
        }
        self.at += 1;
        if self.options.copy_text {
            self.arena.text(plain).map_err(|refusal| refused(&refusal))
        } else {
            Ok(plain)
        }
    }

    /// Reads on behind the `plain` beginning of a string whose opening quote is at `quote`.
    fn string_with_escapes(&mut self, quote: usize, plain: &str) -> Result<&'a str, Problem> {
        self.unescaped.clear();
        self.unescaped.push_str(plain);
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(control) => return Err(Problem::Control(control)),
                None => {
                    self.at = quote;
                    return Err(Problem::Unclosed);
                }
            }
            let length = scan::plain(&self.text.as_bytes()[self.at..]);
            self.unescaped.push_str(&self.text[self.at..self.at + length]);
            self.at += length;
        }
        self.at += 1;
        self.arena.text(&self.unescaped).map_err(|refusal| refused(&refusal))
    }

    fn escape(&mut self) -> Result<(), Problem> {
        let escape = &self.text.as_bytes()[self.at..];
        let (character, length) = match escape.get(1) {
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            Some(b'/') => ('/', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => scan::code_point(escape)?,
            _ => return Err(Problem::Escape),
        };
        self.unescaped.push(character);
        self.at += length;
        Ok(())
    }

    fn expected(&self, wanted: &'static str) -> Problem {
        Problem::Expected { wanted, found: self.text[self.at..].chars().next() }
    }
}

#[cold]
fn refused(refusal: &impl fmt::Display) -> Problem {
    Problem::Memory(refusal.to_string())
}
