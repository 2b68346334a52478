//! A program written for bumpalo. What was changed is the import and how the arena is made.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use allocator_api2::vec::Vec;
use hashbrown::{DefaultHashBuilder, HashMap};
use mallocator::Mallocator as Bump;

/// An expression whose nodes live in the arena.
#[derive(Debug)]
enum Expr<'a> {
    Number(f64),
    Name(&'a str),
    Call(&'a str, &'a [&'a Expr<'a>]),
    Binary(char, &'a Expr<'a>, &'a Expr<'a>),
}

struct Parser<'a, 's> {
    bump: &'a Bump,
    tokens: std::iter::Peekable<std::str::SplitWhitespace<'s>>,
    names: HashMap<&'a str, usize, DefaultHashBuilder, &'a Bump>,
}

impl<'a> Parser<'a, '_> {
    fn name(&mut self, name: &str) -> &'a str {
        if let Some((known, count)) = self.names.get_key_value_mut(name) {
            *count += 1;
            return known;
        }
        let name: &'a str = self.bump.alloc_str(name);
        self.names.insert(name, 1);
        name
    }

    fn term(&mut self) -> &'a Expr<'a> {
        let token = self.tokens.next().unwrap_or("0");
        if let Ok(number) = token.parse() {
            return self.bump.alloc(Expr::Number(number));
        }
        let name = self.name(token);
        if self.tokens.peek() != Some(&"(") {
            return self.bump.alloc(Expr::Name(name));
        }
        self.tokens.next();
        let mut arguments = Vec::new_in(self.bump);
        while self.tokens.peek().is_some_and(|token| *token != ")") {
            arguments.push(self.sum());
        }
        self.tokens.next();
        let bump = self.bump;
        bump.alloc_with(|| Expr::Call(name, bump.alloc_slice_copy(&arguments)))
    }

    fn sum(&mut self) -> &'a Expr<'a> {
        let mut left = self.term();
        while let Some(operator) = self.tokens.next_if(|token| ["+", "*"].contains(token)) {
            let right = self.term();
            left = self.bump.alloc(Expr::Binary(operator.chars().next().unwrap(), left, right));
        }
        left
    }
}

fn evaluate(expr: &Expr<'_>, variables: &dyn Fn(&str) -> f64) -> f64 {
    match expr {
        Expr::Number(number) => *number,
        Expr::Name(name) => variables(name),
        Expr::Call("max", arguments) => {
            arguments.iter().map(|argument| evaluate(argument, variables)).fold(f64::MIN, f64::max)
        }
        Expr::Call(_, arguments) => arguments.iter().map(|argument| evaluate(argument, variables)).sum(),
        Expr::Binary('+', left, right) => evaluate(left, variables) + evaluate(right, variables),
        Expr::Binary(_, left, right) => evaluate(left, variables) * evaluate(right, variables),
    }
}

#[test]
fn a_parser_written_for_bumpalo_works() {
    let mut bump = Bump::growing();
    for round in 0..3 {
        let source = "max ( x y max ( 1 2 ) ) * 2 + sum ( x 4 x ) + 0.5";
        let mut parser = Parser {
            bump: &bump,
            tokens: source.split_whitespace().peekable(),
            names: HashMap::with_hasher_in(DefaultHashBuilder::default(), &bump),
        };
        let tree = parser.sum();
        assert_eq!(parser.names["x"], 3);
        let value = evaluate(tree, &|name| if name == "x" { 10.0 } else { 3.0 });
        assert!((value - 44.5).abs() < 1e-9, "{round}: {value} of {tree:?}");
        drop(parser);
        bump.reset();
    }
}

#[test]
fn the_methods_of_bumpalo_are_here_under_their_names() {
    let bump = Bump::growing();
    let _: &mut u64 = bump.alloc(1);
    let _: &mut [u8; 3] = bump.alloc_with(|| [1, 2, 3]);
    let _: Result<&mut u8, ()> = bump.alloc_try_with(|| Ok(1));
    let _: &mut [u16] = bump.alloc_slice_copy(&[1, 2]);
    let _: &mut [String] = bump.alloc_slice_clone(&[String::new()]);
    let _: &mut str = bump.alloc_str("text");
    let _: &mut [usize] = bump.alloc_slice_fill_with(3, |index| index);
    let _: &mut [u8] = bump.alloc_slice_fill_copy(3, 1);
    let _: &mut [u8] = bump.alloc_slice_fill_clone(3, &1);
    let _: &mut [u8] = bump.alloc_slice_fill_default(3);
    let _: &mut [u8] = bump.alloc_slice_fill_iter([1, 2, 3]);
    let _: std::ptr::NonNull<u8> = bump.alloc_layout(std::alloc::Layout::new::<u64>());
    assert!(
        bump.try_alloc(1).is_ok() && bump.try_alloc_with(|| 1).is_ok() && bump.try_alloc_str("a").is_ok()
    );
    assert!(bump.try_alloc_try_with(|| Ok::<_, ()>(1)).is_ok());
    assert!(bump.try_alloc_slice_copy(&[1]).is_ok() && bump.try_alloc_slice_clone(&[1]).is_ok());
    assert!(bump.try_alloc_slice_fill_with(1, |_| 1).is_ok() && bump.try_alloc_slice_fill_copy(1, 1).is_ok());
    assert!(
        bump.try_alloc_slice_fill_clone(1, &1).is_ok() && bump.try_alloc_slice_fill_default::<u8>(1).is_ok()
    );
    assert!(bump.try_alloc_slice_fill_iter([1]).is_ok());
    assert!(bump.try_alloc_layout(std::alloc::Layout::new::<u64>()).is_ok());
    let mut vector = Vec::new_in(&bump);
    vector.extend(0..100);
    assert_eq!(vector.iter().sum::<i32>(), 4950);
}
