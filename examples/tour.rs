//! The whole of it in a minute: reserve a region, put one of everything into it, look at the bytes, run some of them,
//! and see what is refused. `cargo run --release --example tour`
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use mallocator::{Error, Mallocator, Protection};

/// Machine code for `fn(a, b) -> a + b`, as the C functions of this platform take their arguments.
const ADD: &str = if cfg!(target_arch = "aarch64") {
    "00 00 01 0b  c0 03 5f d6" // add w0, w0, w1; ret
} else if cfg!(windows) {
    "8d 04 11  c3" // lea eax, [rcx + rdx]; ret
} else {
    "8d 04 37  c3" // lea eax, [rdi + rsi]; ret
};
type Add = extern "C" fn(i32, i32) -> i32;

fn main() -> Result<(), Error> {
    run()
}

/// Here and in the tests.
pub(crate) fn run() -> Result<(), Error> {
    heading("1. Reserve: one contiguous range. Address space costs no memory, so take plenty");
    let arena = Mallocator::builder().size(1 << 30).name("tour").build()?;
    println!("{}", arena.report());

    heading("2. Bump: one of everything, each in the next free bytes");
    let mut table = Table::new(&arena);
    table.aligned_row("alloc_raw(16, 16)", arena.alloc_raw(16, 16)?.as_ptr(), 16);
    table.row("alloc(0x1122334455667788_u64)", arena.alloc(0x1122_3344_5566_7788_u64));
    table.row("alloc_with(|| [1_u16, 2, 3])", arena.alloc_with(|| [1_u16, 2, 3]));
    table.row("alloc_slice_copy(&[1.0, 2.0])", arena.alloc_slice_copy(&[1.0, 2.0]).as_ptr());
    table.row("alloc_str(\"naïve €\")", arena.alloc_str("naïve €").as_ptr());
    table
        .row("alloc_bytes(&[0x7f, b'E', b'L', b'F'])", arena.alloc_bytes(&[0x7f, b'E', b'L', b'F']).as_ptr());
    table.row("alloc_string::<u8>(\"naïve\")", arena.alloc_string::<u8>("naïve")?.as_ptr());
    table.row("alloc_string::<u16>(\"€ 😀\")", arena.alloc_string::<u16>("€ 😀")?.as_ptr());
    table.row("alloc_string::<u32>(\"😀\")", arena.alloc_string::<u32>("😀")?.as_ptr());
    table.row("alloc_string_raw(\"packed\", 2)", arena.alloc_string_raw("packed", 2)?.as_ptr().cast::<u8>());
    table.row("alloc_byte_string(\"00 ab f9 0x42\")", arena.alloc_byte_string("00 ab f9 0x42")?.as_ptr());
    let layout = std::alloc::Layout::new::<[u64; 2]>();
    table.aligned_row(
        "alloc_layout(the layout of [u64; 2])",
        arena.alloc_layout(layout).as_ptr(),
        layout.align(),
    );
    let code = arena.alloc_byte_string(ADD)?.as_ptr();
    table.row("alloc_byte_string(machine code)", code);

    heading("3. Look: base, ptr and size, and the bytes between base and ptr");
    println!("base {:p}  ptr {:p}  size {}", arena.base(), arena.ptr(), arena.size());
    println!("used {}  committed {}  available {}\n", arena.used(), arena.committed(), arena.available());
    // SAFETY: all of it was written, or is zero because it was never used, and no reference into it is used below.
    dump(unsafe { arena.used_bytes() });

    heading("4. Seal: what was written becomes code, and cannot be written any more");
    let (before, offset) = (arena.protection(), arena.offset_of(code).unwrap_or(0));
    let sealed = arena.seal(Protection::READ_EXECUTE)?;
    println!("{before} -> {}", sealed.protection());
    // SAFETY: such a function was written there, and it takes any two numbers.
    let add = unsafe { sealed.function::<Add>(offset) };
    println!("the code at offset {offset} says 40 + 2 = {}", add.call(40, 2));
    println!("a write to it does not compile: a sealed arena has no method that writes");

    heading("5. Scope: what is temporary goes back by itself, and the outer arena can be used inside");
    let words = Mallocator::growing(); // 64 GiB of address space
    let mut longest = mallocator::Vec::new_in(&words);
    for line in ["to be or not to be", "that is the question"] {
        words.scope(|scratch| {
            let sorted = scratch.alloc_iter(line.split(' '));
            sorted.sort_by_key(|word| word.len());
            longest.push(words.alloc_str(sorted[sorted.len() - 1])); // outlives the scope
            scratch.alloc_slice_fill_copy(10_000, 0_u8); // does not
            println!("in the scope {:>5} bytes are used", scratch.used());
        });
    }
    println!("after it     {:>5} bytes are used, for {longest:?}", words.used());

    heading("6. Refusals: an error that says what to do, and nothing has moved");
    let small = Mallocator::new()?;
    small.alloc_str("kept");
    refused("100 000 bytes out of 64 KiB", &small.try_alloc_bytes(&[0; 100_000]));
    refused("alloc_byte_string(\"12 g4\")", &small.alloc_byte_string("12 g4"));
    refused("alloc_string::<u8>(\"5 €\")", &small.alloc_string::<u8>("5 €"));
    println!("\nused before and after: {} bytes", small.used());

    heading("7. Free: everything at once");
    sealed.free()?;
    small.free()?;
    println!("1 GiB and 64 KiB of address space are given back; the words go when they are dropped");
    Ok(())
}

fn heading(text: &str) {
    println!("\n== {text}\n");
}

fn refused<T>(what: &str, outcome: &Result<T, Error>) {
    match outcome {
        Ok(_) => println!("{what}: granted, which it should not have been"),
        Err(error) => println!("{what}:\n    {error}"),
    }
}

/// Prints a line for each allocation, from what the arena says before and after it.
struct Table<'a> {
    arena: &'a Mallocator,
    used: usize,
}

impl<'a> Table<'a> {
    fn new(arena: &'a Mallocator) -> Self {
        println!("{:>6}  {:>4}  {:>5}  what", "offset", "size", "align");
        Self { arena, used: arena.used() }
    }

    /// The memory at `start` is made of `T`s, which says its alignment.
    fn row<T>(&mut self, what: &str, start: *const T) {
        self.aligned_row(what, start, align_of::<T>());
    }

    fn aligned_row<T: ?Sized>(&mut self, what: &str, start: *const T, align: usize) {
        let offset = self.arena.offset_of(start).unwrap_or(self.used);
        let size = self.arena.used() - offset;
        println!("{offset:>6}  {size:>4}  {align:>5}  {what}");
        self.used = self.arena.used();
    }
}

/// Prints bytes in hexadecimal, sixteen a line, with the text beside them.
fn dump(bytes: &[u8]) {
    for (line, bytes) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |&byte: &u8| if byte.is_ascii_graphic() || byte == b' ' { byte.into() } else { '.' };
        let text: String = bytes.iter().map(shown).collect();
        println!("{:04x}  {:<47}  {text}", line * 16, hex.join(" "));
    }
}
