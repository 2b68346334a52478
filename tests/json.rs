//! The JSON reader of the example: what it reads, what it refuses and where, and that what was written is read again.

use mallocator::Mallocator;
use proptest::prelude::*;
use reader::{Error, Options, Problem, Value};

#[path = "../examples/json/reader.rs"]
mod reader;

/// Reads `text` as a whole, and hands the outcome to `check`.
#[track_caller]
fn reading<R>(text: &[u8], options: Options, check: impl FnOnce(Result<Value<'_>, Error>) -> R) -> R {
    let arena = Mallocator::with_size(1 << 24).unwrap();
    check(reader::read(text, &arena, options))
}

#[track_caller]
fn reads(text: &str, expected: Value<'_>) {
    for copy_text in [false, true] {
        reading(text.as_bytes(), Options { copy_text, ..Options::default() }, |read| {
            assert_eq!(read.as_ref(), Ok(&expected), "{text}");
        });
    }
}

#[track_caller]
fn refuses(text: impl AsRef<[u8]>, line: usize, column: usize, problem: Problem) {
    reading(text.as_ref(), Options::default(), |read| {
        assert_eq!(read, Err(Error { line, column, problem }), "{}", String::from_utf8_lossy(text.as_ref()));
    });
}

fn expected(wanted: &'static str, found: impl Into<Option<char>>) -> Problem {
    Problem::Expected { wanted, found: found.into() }
}

#[test]
fn every_kind_of_value_is_read() {
    reads("null", Value::Null);
    reads("\t\n\r true ", Value::Boolean(true));
    reads("false", Value::Boolean(false));
    reads("[ ]", Value::Array(&[]));
    reads("{ }", Value::Object(&[]));
    reads(
        "[1,[null , \"a\"]]",
        Value::Array(&[Value::Integer(1), Value::Array(&[Value::Null, Value::String("a")])]),
    );
    reads(
        r#"{"a": {"b": []}, "": -1, "a": "twice"}"#,
        Value::Object(&[
            ("a", Value::Object(&[("b", Value::Array(&[]))])),
            ("", Value::Integer(-1)),
            ("a", Value::String("twice")),
        ]),
    );
    reads("\u{feff}[]", Value::Array(&[]));
}

#[test]
fn numbers_are_read_as_exactly_as_they_can_be() {
    reads("0", Value::Integer(0));
    reads("9223372036854775807", Value::Integer(i64::MAX));
    reads("-9223372036854775808", Value::Integer(i64::MIN));
    reads("9223372036854775808", Value::Number(9_223_372_036_854_775_808.0));
    reads("1.5", Value::Number(1.5));
    reads("1E+2", Value::Number(100.0));
    reads("-12.5e-1", Value::Number(-1.25));
    reads("0.1", Value::Number(0.1));
    reads("5e-324", Value::Number(f64::from_bits(1)));
    reads("1e-400", Value::Number(0.0));
    reads("1.7976931348623157e308", Value::Number(f64::MAX));
    for (text, zero) in [("-0", -0.0), ("-0.0", -0.0), ("0.0", 0.0_f64)] {
        reading(text.as_bytes(), Options::default(), |read| match read {
            Ok(Value::Number(number)) => assert_eq!(number.to_bits(), zero.to_bits(), "{text}"),
            other => panic!("{text}: {other:?}"),
        });
    }
}

#[test]
fn what_is_no_number_is_refused_where_it_goes_wrong() {
    refuses("1e400", 1, 1, Problem::TooLarge);
    refuses("[-1e400]", 1, 2, Problem::TooLarge);
    refuses("01", 1, 2, expected("no digit behind a leading 0", '1'));
    refuses("-00", 1, 3, expected("no digit behind a leading 0", '0'));
    refuses("-", 1, 2, expected("a digit", None));
    refuses("-a", 1, 2, expected("a digit", 'a'));
    refuses("1.", 1, 3, expected("a digit", None));
    refuses("[1.e5]", 1, 4, expected("a digit", 'e'));
    refuses("1e", 1, 3, expected("a digit", None));
    refuses("[1e+]", 1, 5, expected("a digit", ']'));
    refuses("+1", 1, 1, expected("a value", '+'));
    refuses(".5", 1, 1, expected("a value", '.'));
    refuses("0x10", 1, 2, Problem::Trailing);
    refuses("NaN", 1, 1, expected("a value", 'N'));
    refuses("-Infinity", 1, 2, expected("a digit", 'I'));
}

#[test]
fn every_escape_is_read() {
    reads(r#""\"\\\/\b\f\n\r\t""#, Value::String("\"\\/\u{8}\u{c}\n\r\t"));
    reads(r#""\u0041\u00e9\u20AC\uFFFF\u0000""#, Value::String("A\u{e9}\u{20ac}\u{ffff}\0"));
    reads(r#""\ud83d\udc1d""#, Value::String("\u{1f41d}"));
    reads(r#""\uD800\uDC00\uDBFF\uDFFF""#, Value::String("\u{10000}\u{10ffff}"));
    reads(r#"{"\u006eame": "a long plain text before \u0026 behind it"}"#, {
        Value::Object(&[("name", Value::String("a long plain text before & behind it"))])
    });
    reads("\"\u{7f}\u{80}\u{1f41d}\"", Value::String("\u{7f}\u{80}\u{1f41d}"));
}

#[test]
fn lone_surrogates_are_refused() {
    refuses(r#""\ud83d""#, 1, 2, Problem::Surrogate(0xd83d));
    refuses(r#""a\udc1d""#, 1, 3, Problem::Surrogate(0xdc1d));
    refuses(r#""\ud83d\ud83d""#, 1, 2, Problem::Surrogate(0xd83d));
    refuses(r#""\ud83dx""#, 1, 2, Problem::Surrogate(0xd83d));
    refuses(r#""\ud83d\n""#, 1, 2, Problem::Surrogate(0xd83d));
    refuses(r#""\udc1d\ud83d""#, 1, 2, Problem::Surrogate(0xdc1d));
}

#[test]
fn broken_strings_are_refused() {
    refuses(r#""\x41""#, 1, 2, Problem::Escape);
    refuses(r#""\u12g4""#, 1, 2, Problem::Escape);
    refuses(r#""\u12""#, 1, 2, Problem::Escape);
    refuses(r#""\u+123""#, 1, 2, Problem::Escape);
    refuses(r#""\uéé""#, 1, 2, Problem::Escape);
    refuses("\"\\", 1, 2, Problem::Escape);
    refuses(r#"["a", "b]"#, 1, 7, Problem::Unclosed);
    refuses(r#"["a\n"#, 1, 2, Problem::Unclosed);
    refuses("\"a\nb\"", 1, 3, Problem::Control(b'\n'));
    refuses("\"\\t\0\"", 1, 4, Problem::Control(0));
    refuses(b"[\"\xff\"]", 1, 3, Problem::Utf8);
    refuses(b"\"\xed\xa0\x80\"", 1, 2, Problem::Utf8);
}

/// The scan looks at eight bytes at a time, and at the rest one by one.
#[test]
fn a_control_character_is_found_wherever_it_is() {
    for length in 0..20 {
        for at in 0..length {
            for byte in 0..0x20 {
                let mut text = vec![b'x'; length + 2];
                (text[0], text[length + 1], text[at + 1]) = (b'"', b'"', byte);
                refuses(&text, 1, at + 2, Problem::Control(byte));
            }
        }
    }
}

#[test]
fn what_is_missing_is_named_with_line_and_column() {
    refuses("", 1, 1, expected("a value", None));
    refuses(" \n\n  ", 3, 3, expected("a value", None));
    refuses("[1, 2", 1, 6, expected("`,` or `]`", None));
    refuses("[1 2]", 1, 4, expected("`,` or `]`", '2'));
    refuses("[1,]", 1, 4, expected("a value", ']'));
    refuses("[,1]", 1, 2, expected("a value", ','));
    refuses("{\"a\": 1,}", 1, 9, expected("a name in quotes", '}'));
    refuses("{a: 1}", 1, 2, expected("a name in quotes", 'a'));
    refuses("{\"a\" 1}", 1, 6, expected("`:`", '1'));
    refuses("{\"a\": 1]", 1, 8, expected("`,` or `}`", ']'));
    refuses("[tru]", 1, 2, expected("a value", 't'));
    refuses("'a'", 1, 1, expected("a value", '\''));
    refuses("[1, // one\n2]", 1, 5, expected("a value", '/'));
    refuses("[\u{a0}1]", 1, 2, expected("a value", '\u{a0}'));
}

#[test]
fn columns_count_characters() {
    refuses("{\n  \"caf\u{e9} \u{1f41d}\": x\n}", 2, 13, expected("a value", 'x'));
    refuses("\u{feff}x", 1, 1, expected("a value", 'x'));
}

#[test]
fn text_behind_the_document_is_refused() {
    refuses("1 2", 1, 3, Problem::Trailing);
    refuses("{}\n{}", 2, 1, Problem::Trailing);
    refuses("nullx", 1, 5, Problem::Trailing);
    refuses("[]]", 1, 3, Problem::Trailing);
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deepest = "[".repeat(256) + &"]".repeat(256);
    reading(deepest.as_bytes(), Options::default(), |read| assert!(read.is_ok()));
    refuses("[".repeat(257), 1, 257, Problem::Depth(256));
    refuses("[".repeat(1_000_000), 1, 257, Problem::Depth(256));
    refuses("{\"a\":\n".repeat(1_000), 257, 1, Problem::Depth(256));
    reading(b"[[], {}, [{}]]", Options { depth: 2, ..Options::default() }, |read| {
        assert_eq!(read, Err(Error { line: 1, column: 11, problem: Problem::Depth(2) }));
    });
}

#[test]
fn messages_say_what_and_where() {
    let message =
        |text: &str| reading(text.as_bytes(), Options::default(), |read| read.unwrap_err().to_string());
    assert_eq!(message("[1\n 2]"), "line 2, column 2: expected `,` or `]`, found '2'");
    assert_eq!(message("[1"), "line 1, column 3: expected `,` or `]`, but the text ends here");
}

#[test]
fn a_full_arena_is_an_error() {
    let arena = Mallocator::with_size(1).unwrap();
    let text = format!("[{}0]", "0,".repeat(10_000));
    let error = reader::read(text.as_bytes(), &arena, Options::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::Memory(_)), "{error}");
    assert_eq!(arena.used(), 0);
}

#[test]
fn text_is_borrowed_unless_a_copy_is_asked_for_or_it_has_escapes() {
    let text = br#"["plain", "esc\u0061ped"]"#;
    for copy_text in [false, true] {
        let arena = Mallocator::new().unwrap();
        let read = reader::read(text, &arena, Options { copy_text, ..Options::default() });
        let Ok(Value::Array([Value::String(plain), Value::String(escaped)])) = read else {
            panic!("{read:?}")
        };
        assert_eq!((*plain, *escaped), ("plain", "escaped"));
        assert_eq!(arena.contains(plain.as_ptr()), copy_text);
        assert!(arena.contains(escaped.as_ptr()));
    }
}

/// A tree that owns what is in it.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn value<'a>(&self, arena: &'a Mallocator) -> Value<'a> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Number(value) => Value::Number(*value),
            Self::String(text) => Value::String(arena.alloc_str(text)),
            Self::Array(elements) => {
                Value::Array(arena.alloc_iter(elements.iter().map(|element| element.value(arena))))
            }
            Self::Object(members) => Value::Object(arena.alloc_iter(
                members.iter().map(|(name, value)| (&*arena.alloc_str(name), value.value(arena))),
            )),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    // Mostly what a scan may trip over.
    let text = proptest::collection::vec(
        prop_oneof![
            any::<char>(),
            prop::char::range('\0', '\u{7f}'),
            prop::char::range('\0', '\u{1f}'),
            Just('"'),
            Just('\\')
        ],
        0..12,
    )
    .prop_map(String::from_iter);
    let finite = any::<f64>().prop_filter("JSON has no infinity", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Boolean),
        any::<i64>().prop_map(Tree::Integer),
        finite.prop_map(Tree::Number),
        text.clone().prop_map(Tree::String),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
            proptest::collection::vec((text.clone(), inner), 0..6).prop_map(Tree::Object),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_that_is_written_and_read_again_is_the_same(tree in tree(), copy_text in any::<bool>()) {
        let arena = Mallocator::with_size(1 << 24).unwrap();
        let value = tree.value(&arena);
        let written = value.to_string();
        let read = reader::read(written.as_bytes(), &arena, Options { copy_text, ..Options::default() });
        // As text too, because -0.0 equals 0.0.
        prop_assert_eq!(read.as_ref().map(ToString::to_string), Ok(written.clone()));
        prop_assert_eq!(read, Ok(value));
    }

    #[test]
    fn nothing_that_is_read_makes_the_reader_panic(
        text in proptest::collection::vec(prop::sample::select(&b"[]{}:,\"\\u0d8cDC1e+-.tfn \n\xc3\xa9"[..]), 0..40),
    ) {
        let arena = Mallocator::with_size(1 << 20).unwrap();
        if let Err(error) = reader::read(&text, &arena, Options::default()) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }
}
