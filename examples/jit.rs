//! Compiles an arithmetic expression to machine code, seals the code, and calls it: Rust calls the code, and the code
//! calls Rust.
//!
//! ```sh
//! cargo run --release --example jit
//! cargo run --release --example jit -- 'gcd(x, y) * (x - 3) / -y'
//! ```
//!
//! An expression has whole numbers of 64 bits, `x` and `y`, `+ - * /`, parentheses, and the functions in [`FUNCTIONS`].
//! All arithmetic wraps around, and a division by zero gives 0.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use mallocator::Mallocator;

const EXPRESSION: &str =
    "(x * x - y * y) / (gcd(x, max(y, 42)) + 1) - -(3 * x + 7 * (y - 2)) * max(x - 2 * y, 5)";
const X: i64 = 1071;
const Y: i64 = 462;

fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match run(&if words.is_empty() { EXPRESSION.into() } else { words.join(" ") }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jit: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Here and in the tests.
pub(crate) fn run(text: &str) -> Result<(), Box<dyn Error>> {
    heading("1. Read: the tree is in an arena");
    println!("{text}\n");
    let nodes = Mallocator::new()?;
    let tree = parse(text, &nodes)?;
    println!("is {}, where x = {X} and y = {Y}", tree.value(X, Y));
    println!("the tree takes {} bytes", nodes.used());
    machine::run(tree)
}

fn heading(text: &str) {
    println!("\n== {text}\n");
}

// What an expression may call.

type Compiled = extern "C" fn(i64, i64) -> i64;

/// The first is what `/` calls: the processor would fault at a division by zero, and at the one that overflows.
const FUNCTIONS: [(&str, Compiled); 4] =
    [("div", divide), ("gcd", greatest_common_divisor), ("max", maximum), ("pow", power)];

extern "C" fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

extern "C" fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a.wrapping_rem(b));
    }
    a.wrapping_abs()
}

/// 0 where the exponent is negative, or has more than 32 bits.
extern "C" fn power(base: i64, exponent: i64) -> i64 {
    u32::try_from(exponent).map_or(0, |exponent| base.wrapping_pow(exponent))
}

extern "C" fn maximum(a: i64, b: i64) -> i64 {
    a.max(b)
}

// The tree.

pub(crate) enum Node<'a> {
    Number(i64),
    X,
    Y,
    Negate(&'a Node<'a>),
    Pair(Operation, &'a Node<'a>, &'a Node<'a>),
}

#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Call(Compiled),
}

impl Node<'_> {
    /// The interpreter, which the code is compared with.
    pub(crate) fn value(&self, x: i64, y: i64) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::X => x,
            Self::Y => y,
            Self::Negate(inner) => inner.value(x, y).wrapping_neg(),
            Self::Pair(operation, left, right) => {
                let (left, right) = (left.value(x, y), right.value(x, y));
                match operation {
                    Operation::Add => left.wrapping_add(right),
                    Operation::Subtract => left.wrapping_sub(right),
                    Operation::Multiply => left.wrapping_mul(right),
                    Operation::Call(function) => function(left, right),
                }
            }
        }
    }
}

// From text to the tree.

/// More than that are refused: whoever follows a tree to its end needs stack, without optimisation 3 KiB for each.
pub(crate) const MOST_OPERANDS: usize = 100;

/// Reads `text` as a whole. The error says at which of its characters, counted from 1, it cannot be read.
pub(crate) fn parse<'a>(text: &str, arena: &'a Mallocator) -> Result<&'a Node<'a>, String> {
    let mut parser = Parser { text, rest: text, operands: 0, arena };
    let tree = parser.expression(0)?;
    if parser.peek().is_some() {
        return Err(parser.expected("an operator or the end"));
    }
    Ok(tree)
}

#[derive(Clone, Copy)]
struct Parser<'t, 'a> {
    text: &'t str,
    rest: &'t str,
    operands: usize,
    arena: &'a Mallocator,
}

impl<'t, 'a> Parser<'t, 'a> {
    /// Operands, with those operators between them that bind more tightly than `floor`.
    fn expression(&mut self, floor: u8) -> Result<&'a Node<'a>, String> {
        let mut left = self.operand()?;
        loop {
            let (binding, operation) = match self.peek() {
                Some('+') => (1, Operation::Add),
                Some('-') => (1, Operation::Subtract),
                Some('*') => (2, Operation::Multiply),
                Some('/') => (2, Operation::Call(divide)),
                _ => return Ok(left),
            };
            if binding <= floor {
                return Ok(left);
            }
            self.skip(1);
            left = self.arena.alloc(Node::Pair(operation, left, self.expression(binding)?));
        }
    }

    fn operand(&mut self) -> Result<&'a Node<'a>, String> {
        let first = self.peek();
        self.operands += 1;
        if self.operands > MOST_OPERANDS {
            return Err(self.problem(&format!("there are more than {MOST_OPERANDS} operands")));
        }
        let node = match first {
            Some('(') => {
                self.skip(1);
                let inner = self.expression(0)?;
                self.take(')')?;
                return Ok(inner);
            }
            Some('-') => {
                self.skip(1);
                Node::Negate(self.operand()?)
            }
            Some('0'..='9') => self.number()?,
            Some('a'..='z') => self.named()?,
            _ => return Err(self.expected("a number, `x`, `y`, a function, `-` or `(`")),
        };
        Ok(self.arena.alloc(node))
    }

    fn number(&mut self) -> Result<Node<'a>, String> {
        let start = *self;
        let number = self.word(char::is_ascii_digit).parse();
        number.map(Node::Number).map_err(|_| start.problem(&format!("no number is above {}", i64::MAX)))
    }

    fn named(&mut self) -> Result<Node<'a>, String> {
        let start = *self;
        let name = self.word(char::is_ascii_alphanumeric);
        match name {
            "x" => return Ok(Node::X),
            "y" => return Ok(Node::Y),
            _ => {}
        }
        let Some((_, function)) = FUNCTIONS.into_iter().find(|function| function.0 == name) else {
            return Err(start.problem(&format!("`{name}` is neither `x`, nor `y`, nor a function")));
        };
        self.take('(')?;
        let left = self.expression(0)?;
        self.take(',')?;
        let right = self.expression(0)?;
        self.take(')')?;
        Ok(Node::Pair(Operation::Call(function), left, right))
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn take(&mut self, wanted: char) -> Result<(), String> {
        self.peek();
        self.rest = self.rest.strip_prefix(wanted).ok_or_else(|| self.expected(&format!("`{wanted}`")))?;
        Ok(())
    }

    /// The next characters, as long as they belong to it.
    fn word(&mut self, belongs: fn(&char) -> bool) -> &'t str {
        let end = self.rest.find(|it: char| !belongs(&it)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn expected(&self, wanted: &str) -> String {
        self.problem(&match self.rest.chars().next() {
            Some(found) => format!("expected {wanted}, found {found:?}"),
            None => format!("expected {wanted}, but the text ends here"),
        })
    }

    fn problem(&self, message: &str) -> String {
        let before = &self.text[..self.text.len() - self.rest.len()];
        format!("at character {}: {message}", before.chars().count() + 1)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod machine {
    pub(super) fn run(_: &super::Node<'_>) -> Result<(), Box<dyn super::Error>> {
        println!("This example writes code for x86-64 only, and this processor is another one.");
        Ok(())
    }
}

/// From the tree to code, and the code at work.
#[cfg(target_arch = "x86_64")]
pub(crate) mod machine {
    use std::error::Error;
    use std::hint::black_box;
    use std::time::Instant;

    use iced_x86::IcedError;
    use iced_x86::code_asm::{
        AsmRegister64, CodeAssembler, qword_ptr, r12, rax, rbx, rcx, rdi, rdx, rsi, rsp,
    };
    use mallocator::{Mallocator, Protection};

    use super::{Compiled, FUNCTIONS, Node, Operation, X, Y, divide, heading};

    pub(super) fn run(tree: &Node<'_>) -> Result<(), Box<dyn Error>> {
        heading("2. Write: the code, near the functions that it calls");
        let arena = arena()?;
        let bytes = write(tree, &arena)?;
        for line in bytes.chunks(24) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{}", hex.join(" "));
        }
        println!("\n{} bytes at {:p}, in pages that are {}", bytes.len(), bytes.as_ptr(), arena.protection());
        for (name, function) in FUNCTIONS {
            let distance = (function as *const ()).addr().abs_diff(bytes.as_ptr().addr());
            println!("{name} is {} KiB away, and a call reaches 2 GiB", distance >> 10);
        }

        heading("3. Seal: what was written becomes code, and cannot be written any more");
        let sealed = arena.seal(Protection::READ_EXECUTE)?;
        println!("the pages are {} now", sealed.protection());

        heading("4. Call: Rust calls the code, the code calls Rust");
        // SAFETY: that is where the code is, a function of any two numbers; what it calls is part of this program.
        let code = unsafe { sealed.function::<Compiled>(0) };
        println!("the code says {}, where x = {X} and y = {Y}", code.call(X, Y));
        let numbers = [i64::MIN, -X, -1, 0, 1, 2, Y, X, i64::MAX];
        for (x, y) in numbers.into_iter().flat_map(|x| numbers.map(|y| (x, y))) {
            assert_eq!(code.call(x, y), tree.value(x, y), "where x = {x} and y = {y}");
        }
        println!("and what the tree says for {} pairs of x and y", numbers.len().pow(2));

        heading("5. Measure: the time of one evaluation");
        let rounds = (0..31).map(|_| (time(|x, y| tree.value(x, y)), time(|x, y| code.call(x, y))));
        let (trees, codes): (Vec<f64>, Vec<f64>) = rounds.unzip();
        let ratios = trees.iter().zip(&codes).map(|(tree, code)| tree / code).collect();
        println!("walking the tree  {:>7.1} ns", median(trees));
        println!("calling the code  {:>7.1} ns", median(codes));
        println!("which is {:.1} times as fast: medians of 31 rounds of both", median(ratios));
        Ok(())
    }

    /// Nanoseconds that an evaluation takes, of ten thousand.
    fn time(evaluate: impl Fn(i64, i64) -> i64) -> f64 {
        let start = Instant::now();
        for x in 0..10_000 {
            black_box(evaluate(black_box(x), black_box(Y)));
        }
        start.elapsed().as_secs_f64() * 1e9 / 10_000.0
    }

    fn median(mut numbers: Vec<f64>) -> f64 {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    }

    /// An arena for code. A call reaches 2 GiB; half of that leaves room for how far apart the functions are.
    pub(crate) fn arena() -> Result<Mallocator, mallocator::Error> {
        Mallocator::builder().near(divide as *const (), i32::MAX as usize / 2).build()
    }

    /// Where functions take their arguments.
    const ARGUMENTS: [AsmRegister64; 2] = if cfg!(windows) { [rcx, rdx] } else { [rdi, rsi] };

    /// Where `x` and `y` are while the code runs: in registers that every function leaves as they were, and so must it.
    const VARIABLES: [AsmRegister64; 2] = [rbx, r12];

    /// What a value takes on the stack: 16 bytes, as the stack must be at a multiple of that where a function is called,
    /// and on Windows below it 32 more, which belong to the function that is called.
    const PLACE: i32 = if cfg!(windows) { 16 + 32 } else { 16 };

    /// Writes a function of `x` and `y` that returns the value of the tree.
    pub(crate) fn write<'a>(tree: &Node<'_>, arena: &'a Mallocator) -> Result<&'a [u8], Box<dyn Error>> {
        let mut code = CodeAssembler::new(64)?;
        for (variable, argument) in VARIABLES.into_iter().zip(ARGUMENTS) {
            code.push(variable)?;
            code.mov(variable, argument)?;
        }
        code.sub(rsp, PLACE - 8)?; // with the address to return to, and the two that were pushed, a multiple of 16
        value(&mut code, rax, tree)?;
        code.add(rsp, PLACE - 8)?;
        for variable in VARIABLES.into_iter().rev() {
            code.pop(variable)?;
        }
        code.ret()?;
        // The place matters: a call says how far it is from there to the function.
        let bytes = code.assemble(arena.ptr().addr().get() as u64)?;
        Ok(arena.try_alloc_bytes(&bytes)?)
    }

    /// Leaves the value of `node` in the register, which is `rax` or `rcx`.
    fn value(code: &mut CodeAssembler, register: AsmRegister64, node: &Node<'_>) -> Result<(), IcedError> {
        match *node {
            Node::Number(number) => code.mov(register, number),
            Node::X => code.mov(register, VARIABLES[0]),
            Node::Y => code.mov(register, VARIABLES[1]),
            Node::Negate(inner) => {
                value(code, register, inner)?;
                code.neg(register)
            }
            Node::Pair(operation, left, right) => {
                values(code, left, right)?;
                match operation {
                    Operation::Add => code.add(rax, rcx)?,
                    Operation::Subtract => code.sub(rax, rcx)?,
                    Operation::Multiply => code.imul_2(rax, rcx)?,
                    Operation::Call(function) => {
                        code.mov(ARGUMENTS[1], rcx)?; // first, as on Windows the other one goes to rcx
                        code.mov(ARGUMENTS[0], rax)?;
                        code.call((function as *const ()).addr() as u64)?;
                    }
                }
                if register == rax { Ok(()) } else { code.mov(register, rax) }
            }
        }
    }

    /// Leaves the value of `left` in `rax`, and that of `right` in `rcx`.
    fn values(code: &mut CodeAssembler, left: &Node<'_>, right: &Node<'_>) -> Result<(), IcedError> {
        value(code, rax, left)?;
        if matches!(right, Node::Number(_) | Node::X | Node::Y) {
            return value(code, rcx, right); // needs no other register
        }
        code.sub(rsp, PLACE)?;
        code.mov(qword_ptr(rsp + PLACE - 8), rax)?;
        value(code, rcx, right)?;
        code.mov(rax, qword_ptr(rsp + PLACE - 8))?;
        code.add(rsp, PLACE)
    }
}
