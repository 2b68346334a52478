//! What the system refuses while an arena with its root is sealed or unsealed, and roots whose drop panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::os::Call;
use crate::os::faulty::{self, OUT_OF_MEMORY, Refuse};
use crate::{Mallocator, Protection, Root, Rooted};

struct Text;
impl Root for Text {
    type In<'a> = &'a str;
}

fn text() -> Rooted<Text> {
    let arena = Mallocator::builder().size(1 << 16).reuse(false).build().unwrap();
    Rooted::new(arena, |arena| &*arena.alloc_str("kept"))
}

/// Neither to be changed nor to be changed back.
const TORN: Refuse = Refuse::Every(&[Call::Protect]);

/// From here on the system refuses this, and the seam has forgotten what is alive.
fn from_here_on(refuse: Refuse) {
    faulty::end();
    faulty::begin(refuse, OUT_OF_MEMORY);
}

#[test]
fn a_root_that_is_out_of_reach_is_back_when_a_later_unseal_is_granted() {
    let sealed = text().seal(Protection::READ).unwrap();
    from_here_on(TORN);
    let (sealed, _) = sealed.unseal().unwrap_err().into_parts();
    assert_eq!(sealed.protection(), Protection::NO_ACCESS);
    assert!(catch_unwind(AssertUnwindSafe(|| sealed.with(|text| text.len()))).is_err());
    let (sealed, _) = sealed.unseal().unwrap_err().into_parts();
    assert!(catch_unwind(AssertUnwindSafe(|| sealed.with(|text| text.len()))).is_err(), "still");
    from_here_on(Refuse::Nothing);
    let mut text = sealed.unseal().unwrap();
    assert_eq!(text.with(|_, text| *text), "kept");
    text.with_mut(|arena, text| *text = arena.alloc_str("written"));
    assert_eq!(text.with(|_, text| *text), "written");
    from_here_on(Refuse::Nothing);
}

#[test]
fn a_root_that_is_out_of_reach_is_back_when_a_later_seal_is_granted() {
    let text = text();
    from_here_on(TORN);
    let (text, _) = text.seal(Protection::READ).unwrap_err().into_parts();
    let (text, _) = text.seal(Protection::READ).unwrap_err().into_parts();
    let (text, _) = text.seal(Protection::READ_WRITE).unwrap_err().into_parts();
    assert!(catch_unwind(AssertUnwindSafe(|| text.with(|_, text| text.len()))).is_err());
    from_here_on(Refuse::Nothing);
    let sealed = text.seal(Protection::READ).unwrap();
    assert_eq!(sealed.with(|text| *text), "kept");
    // The protection that the root was built for, and not what was left of it.
    let mut text = sealed.unseal().unwrap();
    text.with_mut(|arena, text| *text = arena.alloc_str("written"));
    assert_eq!(text.with(|arena, text| (*text, arena.protection())), ("written", Protection::READ_WRITE));
    from_here_on(Refuse::Nothing);
}

#[test]
fn a_root_whose_drop_panics_does_not_keep_its_arena() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("as it is dropped");
        }
    }
    impl Root for Loud {
        type In<'a> = (&'a str, Loud);
    }
    let ends: [fn(Rooted<Loud>); 2] = [drop, |root| drop(root.into_arena())];
    for end in ends {
        faulty::begin(Refuse::Nothing, OUT_OF_MEMORY);
        let arena = Mallocator::builder().size(1 << 16).reuse(false).build().unwrap();
        let root = Rooted::<Loud>::new(arena, |arena| (arena.alloc_str("text"), Loud));
        assert!(catch_unwind(AssertUnwindSafe(|| end(root))).is_err());
        assert_eq!(faulty::end().leaked, 0);
    }
}
