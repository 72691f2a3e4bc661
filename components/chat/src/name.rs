//! Names of participants.

const COLOURS: [&str; 16] = [
    "Amber", "Azure", "Coral", "Crimson", "Golden", "Indigo", "Ivory", "Jade", "Lilac", "Ochre", "Olive",
    "Plum", "Rosy", "Silver", "Teal", "Umber",
];

const ANIMALS: [&str; 16] = [
    "Badger", "Crane", "Dormouse", "Elk", "Falcon", "Gecko", "Heron", "Ibex", "Jackdaw", "Kestrel", "Lynx",
    "Marten", "Newt", "Otter", "Puffin", "Raven",
];

/// A name and a colour, derived from the id of a connection: the same in every call.
pub struct Name {
    pub name: String,
    /// In degrees on the colour wheel.
    pub hue: u32,
}

impl Name {
    /// `id` consists of hexadecimal digits; each selects a part.
    pub fn of(id: &str) -> Self {
        let mut digits = id.chars().filter_map(|digit| digit.to_digit(16));
        let mut next = || digits.next().unwrap_or(0);
        let (colour, animal, number) = (next() as usize, next() as usize, next() * 16 + next());
        Self {
            name: format!("{} {} {number}", COLOURS[colour], ANIMALS[animal]),
            hue: (next() * 16 + next()) * 360 / 256,
        }
    }
}
