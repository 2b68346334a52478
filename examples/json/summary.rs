//! Counts what is in a tree.

use std::fmt;

use super::reader::Value;

/// How much there is of each kind.
#[derive(Default)]
pub(crate) struct Summary {
    nulls: usize,
    booleans: usize,
    integers: usize,
    numbers: usize,
    strings: usize,
    arrays: usize,
    elements: usize,
    objects: usize,
    members: usize,
    text: usize,
    depth: usize,
}

impl Summary {
    /// Of `value` and all that is in it.
    pub(crate) fn of(value: &Value<'_>) -> Self {
        let mut summary = Self::default();
        summary.add(value, 0);
        summary
    }

    fn add(&mut self, value: &Value<'_>, outside: usize) {
        match *value {
            Value::Null => self.nulls += 1,
            Value::Boolean(_) => self.booleans += 1,
            Value::Integer(_) => self.integers += 1,
            Value::Number(_) => self.numbers += 1,
            Value::String(text) => {
                self.strings += 1;
                self.text += text.len();
            }
            Value::Array(elements) => {
                self.arrays += 1;
                self.elements += elements.len();
                self.depth = self.depth.max(outside + 1);
                for element in elements {
                    self.add(element, outside + 1);
                }
            }
            Value::Object(members) => {
                self.objects += 1;
                self.members += members.len();
                self.depth = self.depth.max(outside + 1);
                for (name, value) in members {
                    self.text += name.len();
                    self.add(value, outside + 1);
                }
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "objects     {:>15} with {} members", self.objects, self.members)?;
        writeln!(f, "arrays      {:>15} with {} elements", self.arrays, self.elements)?;
        writeln!(f, "strings     {:>15}", self.strings)?;
        writeln!(f, "integers    {:>15}", self.integers)?;
        writeln!(f, "numbers     {:>15} with a fraction or an exponent, or beyond 64 bits", self.numbers)?;
        writeln!(f, "booleans    {:>15}", self.booleans)?;
        writeln!(f, "nulls       {:>15}", self.nulls)?;
        writeln!(f, "text        {:>15} bytes, in strings and names", self.text)?;
        write!(f, "depth       {:>15} arrays and objects in each other", self.depth)
    }
}
