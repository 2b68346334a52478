//! The compiler of the example: the code says what the tree says, and what it says is right.
#![cfg(target_arch = "x86_64")]

use jit::{MOST_OPERANDS, Node, Operation, machine, parse};
use mallocator::{Mallocator, Protection};
use proptest::prelude::*;

#[allow(dead_code, reason = "it is a program, and here only its parts are used")]
#[path = "../examples/jit.rs"]
mod jit;

type Compiled = extern "C" fn(i64, i64) -> i64;

/// What the code of `tree` says for `x` and `y`.
fn code_of(tree: &Node<'_>, x: i64, y: i64) -> i64 {
    let arena = machine::arena().unwrap();
    machine::write(tree, &arena).unwrap();
    let sealed = arena.seal(Protection::READ_EXECUTE).unwrap();
    // SAFETY: that is where the code is, a function of any two numbers; what it calls is there.
    unsafe { sealed.function::<Compiled>(0) }.call(x, y)
}

/// What the code says, and what the tree says.
fn both(text: &str, x: i64, y: i64) -> (i64, i64) {
    let nodes = Mallocator::new().unwrap();
    let tree = parse(text, &nodes).unwrap();
    (code_of(tree, x, y), tree.value(x, y))
}

#[track_caller]
fn is(text: &str, expected: i64) {
    assert_eq!(both(text, 1071, 462), (expected, expected), "{text}");
}

#[track_caller]
fn refuses(text: &str, expected: &str) {
    let nodes = Mallocator::new().unwrap();
    assert_eq!(parse(text, &nodes).err().as_deref(), Some(expected), "{text}");
}

#[test]
fn operators_bind_as_in_school() {
    is("1 + 2 * 3", 7);
    is("(1 + 2) * 3", 9);
    is("10 - 3 - 2", 5);
    is("100 / 10 / 5 * 3", 6);
    is("- 2 * - - 3", -6);
    is("2 - -x", 1073);
    is("x-y", 609);
    is(" ( ( y ) ) ", 462);
}

#[test]
fn functions_are_called() {
    is("gcd(x, y)", 21);
    is("gcd(0, 0)", 0);
    is("max(-1, -(1)) + max(x, y)", 1070);
    is("pow(2, 62)", 1 << 62);
    is("pow(2, 64) + pow(2, -1) + pow(0, 0)", 1);
    is("div(7, 2) - 7 / 2", 0);
    is("max(gcd(max(1, 2), pow(2, gcd(3, 6))), 1 + gcd(x, 1 + max(y, 2)))", 2);
}

#[test]
fn arithmetic_wraps_around_and_divides_by_zero() {
    is("9223372036854775807 + 1", i64::MIN);
    is("-9223372036854775807 - 2", i64::MAX);
    is("9223372036854775807 * 3", i64::MAX - 2);
    is("-(-9223372036854775807 - 1)", i64::MIN);
    is("(-9223372036854775807 - 1) / -1", i64::MIN);
    is("x / 0 + 0 / 0", 0);
    is("-7 / 2", -3);
}

/// What is on the stack where a function is called is more with every level.
#[test]
fn what_is_nested_deeply_is_compiled() {
    let nested = |before: &str, within: &str, behind: &str, levels| {
        format!("{}{within}{}", before.repeat(levels), behind.repeat(levels))
    };
    for levels in 1..(MOST_OPERANDS - 1) / 2 {
        let level = i64::try_from(levels).unwrap();
        is(&nested("(1 + ", "x", ")", levels), 1071 + level);
        is(&nested("max(x, ", "y", ")", levels), 1071);
        is(&nested("y + max(0, ", "gcd(x, y)", ")", levels / 2), 21 + level / 2 * 462);
    }
    is(&nested("", "0", " + 1", MOST_OPERANDS - 1), 99);
    is(&nested("-", "1", "", MOST_OPERANDS - 1), -1);
    is(&nested("(", "1", ")", MOST_OPERANDS - 1), 1);
}

/// How far the stack is from a multiple of 16 where this is called, together with the second argument. On Windows it
/// also writes to the 32 bytes of stack that are its own.
const PROBE: &str = if cfg!(windows) {
    "48 c7 44 24 08 ff ff ff ff  48 c7 44 24 10 ff ff ff ff  48 c7 44 24 18 ff ff ff ff  48 c7 44 24 20 ff ff ff ff
     48 8d 44 24 08  83 e0 0f  48 09 d0  c3" // ...; lea rax, [rsp + 8]; and eax, 15; or rax, rdx; ret
} else {
    "48 8d 44 24 08  83 e0 0f  48 09 f0  c3" // lea rax, [rsp + 8]; and eax, 15; or rax, rsi; ret
};

#[test]
fn functions_find_the_stack_as_they_may_expect() {
    let arena = machine::arena().unwrap();
    arena.alloc_byte_string(PROBE).unwrap();
    let sealed = arena.seal(Protection::READ_EXECUTE).unwrap();
    // SAFETY: that is a function of any two numbers, and it is called while the arena is there.
    let probe = Operation::Call(unsafe { sealed.function::<Compiled>(0).pointer() });
    let nodes = Mallocator::with_size(1 << 20).unwrap();
    let pair = |operation, left, right| &*nodes.alloc(Node::Pair(operation, left, right));
    let mut tree = &Node::Number(0);
    for _ in 0..100 {
        // x + probe(y, -(probe(x, 0) + tree)) - x
        let inner = pair(Operation::Add, pair(probe, &Node::X, &Node::Number(0)), tree);
        let outer = pair(probe, &Node::Y, nodes.alloc(Node::Negate(inner)));
        tree = pair(Operation::Subtract, pair(Operation::Add, &Node::X, outer), &Node::X);
        assert_eq!(code_of(tree, 1071, 462), 0);
    }
}

#[test]
fn calls_are_relative() {
    let nodes = Mallocator::new().unwrap();
    let tree = parse("gcd(1, 2)", &nodes).unwrap();
    let arena = machine::arena().unwrap();
    let code = machine::write(tree, &arena).unwrap();
    // call rel32; and behind it: add rsp, 8 or 40; pop r12; pop rbx; ret.
    assert_eq!(code[code.len() - 13], 0xe8, "{code:02x?}");
}

#[test]
fn what_cannot_be_read_is_refused_where_it_goes_wrong() {
    let operand = "expected a number, `x`, `y`, a function, `-` or `(`";
    refuses("", &format!("at character 1: {operand}, but the text ends here"));
    refuses("1 + * 2", &format!("at character 5: {operand}, found '*'"));
    refuses("x * \u{e9}", &format!("at character 5: {operand}, found '\u{e9}'"));
    refuses("\u{a0}\u{2003}x y", "at character 5: expected an operator or the end, found 'y'");
    refuses("12a", "at character 3: expected an operator or the end, found 'a'");
    refuses("1)", "at character 2: expected an operator or the end, found ')'");
    refuses("((1)", "at character 5: expected `)`, but the text ends here");
    refuses("gcd x", "at character 5: expected `(`, found 'x'");
    refuses("gcd(x)", "at character 6: expected `,`, found ')'");
    refuses("gcd(x, y, 1)", "at character 9: expected `)`, found ','");
    refuses("1 + foo(2)", "at character 5: `foo` is neither `x`, nor `y`, nor a function");
    refuses("1 - 9223372036854775808", "at character 5: no number is above 9223372036854775807");
    refuses(&"(".repeat(100_000), "at character 101: there are more than 100 operands");
    refuses(&"1+".repeat(100_000), "at character 201: there are more than 100 operands");
    refuses(&"-".repeat(100_000), "at character 101: there are more than 100 operands");
}

/// An expression as text, and what it is where `x` and `y` are what they are.
type Expected = (String, i64);

fn expression(x: i64, y: i64) -> impl Strategy<Value = Expected> {
    let number = prop_oneof![0..10_i64, 0..=i64::MAX].prop_map(|number| (number.to_string(), number));
    let leaf = prop_oneof![number, Just(("x".into(), x)), Just(("y".into(), y))];
    leaf.prop_recursive(8, 64, 2, |inner| {
        let pair = (inner.clone(), inner.clone(), 0..6);
        prop_oneof![
            1 => inner.prop_map(|(text, value): Expected| (format!("-{text}"), value.wrapping_neg())),
            6 => pair.prop_map(|((left, a), (right, b), operation): (Expected, Expected, i32)| match operation {
                0 => (format!("({left} + {right})"), a.wrapping_add(b)),
                1 => (format!("({left}-{right})"), a.wrapping_sub(b)),
                2 => (format!("({left} *{right})"), a.wrapping_mul(b)),
                3 => (format!("({left}/ {right})"), if b == 0 { 0 } else { a.wrapping_div(b) }),
                4 => (format!("max({left}, {right})"), a.max(b)),
                _ => (format!("gcd ({left},{right})"), {
                    let (mut a, mut b) = (i128::from(a).abs(), i128::from(b).abs());
                    while b > 0 {
                        (a, b) = (b, a % b);
                    }
                    i64::try_from(a).unwrap_or(i64::MIN) // 2^63
                }),
            }),
        ]
    })
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -9..9_i64, Just(i64::MIN), Just(i64::MAX)]
}

fn case() -> impl Strategy<Value = (i64, i64, Expected)> {
    (number(), number()).prop_flat_map(|(x, y)| (Just(x), Just(y), expression(x, y)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_code_the_tree_and_the_test_agree((x, y, (text, expected)) in case()) {
        prop_assert_eq!(both(&text, x, y), (expected, expected), "{}", text);
    }

    #[test]
    fn nothing_that_is_read_makes_the_parser_panic(
        text in proptest::collection::vec(prop::sample::select(vec!["x", "y", "gcd(", "(", ")", ",", "+", "-", "*", "/", "10", " ", "\u{e9}"]), 0..24),
    ) {
        let nodes = Mallocator::new().unwrap();
        if let Err(problem) = parse(&text.concat(), &nodes) {
            prop_assert!(problem.starts_with("at character "));
        }
    }
}
