//! A fixed set of names, looked up by text in constant time.

/// Names by their place in the order given.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: Box<[Box<str>]>,
    /// Each as [`member_text`] writes it.
    members: Box<[Box<str>]>,
    /// Open addressing: 0 is free, otherwise one more than the place.
    slots: Box<[u32]>,
}

impl Names {
    /// The table of `names`, which differ from each other.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Box<[Box<str>]> = names.into_iter().map(Into::into).collect();
        let mut slots = vec![0; (names.len() * 2).next_power_of_two()].into_boxed_slice();
        for (place, name) in names.iter().enumerate() {
            let mut slot = hash(name) & (slots.len() - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = place as u32 + 1;
        }
        let members = names.iter().map(|name| member_text(name).into()).collect();
        Self {
            names,
            members,
            slots,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name at this place.
    pub fn get(&self, place: usize) -> &str {
        &self.names[place]
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The place of `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(name) & mask;
        loop {
            let place = (self.slots[slot] as usize).checked_sub(1)?;
            if *self.names[place] == *name {
                return Some(place);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The name at this place as a member of JSON begins, `,"name":`; nothing past the end, and for a name that JSON
    /// escapes.
    #[inline]
    pub fn member(&self, place: usize) -> &str {
        self.members.get(place).map_or("", |member| member)
    }
}

fn member_text(name: &str) -> String {
    match name.contains(['"', '\\']) || name.contains(char::is_control) {
        true => String::new(),
        false => format!(",\"{name}\":"),
    }
}

/// Whoever names properties is trusted not to seek collisions; whoever names them in records cannot make new ones.
fn hash(name: &str) -> usize {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let mut state = name.len() as u64;
    let mut mix = |word: u64| state = (state.rotate_left(5) ^ word).wrapping_mul(K);
    words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
    mix(rest.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
    (state >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_at_its_place_and_no_other() {
        for count in [0, 1, 2, 3, 5, 64, 1_000] {
            let all: Vec<String> = (0..count)
                .map(|n| format!("a-long-prefix-of-names-{n}-tail"))
                .collect();
            let names = Names::new(all.iter().map(String::as_str));
            for (place, name) in all.iter().enumerate() {
                assert_eq!(names.find(name), Some(place));
                assert_eq!(names.member(place), format!(",\"{name}\":"));
                assert_eq!(names.find(&name[1..]), None);
            }
            assert_eq!(names.find(""), None);
            assert_eq!(names.member(count), "");
            assert_eq!(Names::new(["a\"b", "a\\", "a\nb"]).members.concat(), "");
        }
    }
}
