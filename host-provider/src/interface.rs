//! What a component imports and exports, compared with what this host offers.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

/// The imports that `linker` knows nothing of, by name.
///
/// Names are compared as linking compares them: `wasi:http/types@0.2.0` is served by 0.2.12.
pub(crate) fn unknown_imports<T: 'static>(linker: &Linker<T>, component: &Component) -> Vec<String> {
    let engine = component.engine();
    component
        .component_type()
        .imports(engine)
        .filter(|(name, import)| {
            !matches!(import.ty, ComponentItem::ComponentInstance(_)) || !is_known(linker, name)
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Everything a component exports, by name.
pub(crate) fn exports(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

/// Whether an export answers HTTP requests, as WASI 0.2 has it.
pub(crate) fn is_handler(export: &str) -> bool {
    export.strip_prefix("wasi:http/incoming-handler@0.2.").is_some()
}

/// A linker cannot be asked for a name. It can be asked to link a component that imports that name, as an
/// interface of which nothing is used.
fn is_known<T: 'static>(linker: &Linker<T>, name: &str) -> bool {
    Component::from_binary(linker.engine(), &importing(name))
        .is_ok_and(|probe| linker.instantiate_pre(&probe).is_ok())
}

/// The component `(component (import NAME (instance)))`, in binary (Component Model, `Binary.md`).
fn importing(name: &str) -> Vec<u8> {
    const PREAMBLE: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];
    // Section 7, three bytes: one type, an instance type, of no declarations.
    const TYPES: [u8; 5] = [0x07, 0x03, 0x01, 0x42, 0x00];
    // One import, by its plain name; it is an instance, of type 0.
    let mut import = vec![0x01, 0x00];
    push_length(&mut import, name.len());
    import.extend_from_slice(name.as_bytes());
    import.extend_from_slice(&[0x05, 0x00]);
    // Section 10.
    let mut binary = [&PREAMBLE[..], &TYPES[..], &[0x0a]].concat();
    push_length(&mut binary, import.len());
    binary.extend(import);
    binary
}

/// LEB128.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_the_component_it_claims_to_be() {
        for name in ["wasi:http/types@0.2.0", &format!("a:b/{}", "c".repeat(300))] {
            let text = format!("(component (import \"{name}\" (instance)))");
            let engine = wasmtime::Engine::default();
            let ours = Component::from_binary(&engine, &importing(name)).unwrap();
            let theirs = Component::from_binary(&engine, &wat::parse_str(text).unwrap()).unwrap();
            let names = |c: &Component| -> Vec<String> {
                c.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect()
            };
            assert_eq!(names(&ours), names(&theirs));
            assert_eq!(names(&ours), [name]);
        }
    }

    #[test]
    fn only_handlers_of_wasi_0_2_count() {
        assert!(is_handler("wasi:http/incoming-handler@0.2.0"));
        assert!(is_handler("wasi:http/incoming-handler@0.2.12"));
        assert!(!is_handler("wasi:http/handler@0.3.0"));
        assert!(!is_handler("wasi:cli/run@0.2.0"));
    }
}
