//! Words in the names of tensors, all looked for at once: what kind of model it is, its names tell.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::json::{push_unsigned, Object};

/// How many names count as the first.
const FIRST_NAMES: u64 = 50;

/// What is looked for.
#[derive(Debug)]
pub struct Words {
    automaton: AhoCorasick,
    /// By word: the group that it belongs to.
    groups: Vec<usize>,
    group_count: usize,
}

impl Words {
    /// Words in groups; ASCII letters match in either case, a line feed is the beginning or the end of a name.
    ///
    /// # Errors
    /// There are more words than can be looked for.
    pub fn new(groups: &[Vec<String>]) -> Result<Self, BuildError> {
        let of_word = groups.iter().enumerate().flat_map(|(group, words)| words.iter().map(move |_| group));
        // PERF: a DFA is a third of the time with a hundred words (bench_headers).
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        Ok(Self {
            automaton: builder.build(groups.iter().flatten())?,
            groups: of_word.collect(),
            group_count: groups.len(),
        })
    }
}

/// What was found in the names of one file.
#[derive(Debug)]
pub struct Found {
    words: Arc<Words>,
    names: u64,
    /// By word.
    is_anywhere: Vec<bool>,
    is_first: Vec<bool>,
    /// By group: names that have a word of it.
    counts: Vec<u64>,
    is_in_name: Vec<bool>,
    line: Vec<u8>,
}

impl Found {
    pub fn new(words: &Arc<Words>) -> Self {
        Self {
            names: 0,
            is_anywhere: vec![false; words.groups.len()],
            is_first: vec![false; words.groups.len()],
            counts: vec![0; words.group_count],
            is_in_name: vec![false; words.group_count],
            line: Vec::new(),
            words: Arc::clone(words),
        }
    }

    /// Looks through one name; what begins with two underscores is no tensor.
    pub fn name(&mut self, name: &str) {
        if name.starts_with("__") {
            return;
        }
        self.names += 1;
        self.line.clear();
        self.line.push(b'\n');
        self.line.extend_from_slice(name.as_bytes());
        self.line.push(b'\n');
        self.is_in_name.fill(false);
        for found in self.words.automaton.find_overlapping_iter(&self.line) {
            let word = found.pattern().as_usize();
            self.is_anywhere[word] = true;
            self.is_first[word] |= self.names <= FIRST_NAMES;
            self.is_in_name[self.words.groups[word]] = true;
        }
        for (count, &is_in) in self.counts.iter_mut().zip(&self.is_in_name) {
            *count += u64::from(is_in);
        }
    }

    /// Writes it as JSON.
    pub fn finish(&self) -> Vec<u8> {
        let mut answer = Object::new();
        answer.number("names", self.names);
        answer.ready("counts", &list(self.counts.iter().copied()));
        answer.ready("anywhere", &list(places(&self.is_anywhere)));
        answer.ready("first", &list(places(&self.is_first)));
        answer.finish()
    }
}

fn places(is_there: &[bool]) -> impl Iterator<Item = u64> + '_ {
    is_there.iter().zip(0..).filter_map(|(&is_there, place)| is_there.then_some(place))
}

fn list(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut out = vec![b'['];
    for number in numbers {
        if out.len() > 1 {
            out.push(b',');
        }
        push_unsigned(&mut out, number);
    }
    out.push(b']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> String {
        let groups =
            [vec!["lora_a".to_owned(), "\nunet.".to_owned()], vec!["a\n".to_owned(), "ra_a".to_owned()]];
        let mut found = Found::new(&Arc::new(Words::new(&groups).unwrap()));
        for name in names {
            found.name(name);
        }
        String::from_utf8(found.finish()).unwrap()
    }

    #[test]
    fn words_are_found_wherever_they_begin_and_in_either_case() {
        let names = ["unet.LORA_A", "x.unet.", "b", "__unet."];
        assert_eq!(found(&names), r#"{"names":3,"counts":[1,1],"anywhere":[0,1,2,3],"first":[0,1,2,3]}"#);
        assert_eq!(found(&[]), r#"{"names":0,"counts":[0,0],"anywhere":[],"first":[]}"#);
    }

    #[test]
    fn only_so_many_names_are_the_first() {
        let mut names = vec!["x"; 49];
        names.extend(["unet.", "lora_a"]);
        assert_eq!(found(&names), r#"{"names":51,"counts":[2,1],"anywhere":[0,1,2,3],"first":[1]}"#);
    }
}
