//! The same component with other bytes.

/// Appends a custom section with `note` to `component`: other bytes, the same code.
pub fn with_note(component: &[u8], note: u32) -> Vec<u8> {
    const NAME: &[u8] = b"note";
    let mut section = vec![u8::try_from(NAME.len()).expect("a short name")];
    section.extend_from_slice(NAME);
    section.extend_from_slice(&note.to_le_bytes());
    let head = [0, u8::try_from(section.len()).expect("a short section")];
    [component, &head, &section].concat()
}
