//! The imports and exports of a component, by name.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

/// The imports that are unknown to `linker`.
///
/// Names are compared as in linking: 0.2.12 satisfies an import of `wasi:http/types@0.2.0`.
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

/// All exports of a component.
pub(crate) fn exports(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

/// Whether the component imports `sender`, of either package.
pub(crate) fn imports_sender(component: &Component) -> bool {
    let is_sender = |name: &str| {
        name.starts_with("h8s:provider/sender@") || name.starts_with("mattilsynet:h8s-provider/sender@")
    };
    component.component_type().imports(component.engine()).any(|(name, _)| is_sender(name))
}

/// Whether the component imports `wasi:config`, of either version.
pub(crate) fn imports_config(component: &Component) -> bool {
    component.component_type().imports(component.engine()).any(|(name, _)| name.starts_with("wasi:config/"))
}

/// A linker has no look-up by name. Linking a component that imports a function by that name always fails, and the error
/// tells whether the linker has a definition of another type, or none.
fn is_known<T: 'static>(linker: &Linker<T>, name: &str) -> bool {
    let linked =
        Component::from_binary(linker.engine(), &importing(name)).map(|probe| linker.instantiate_pre(&probe));
    match linked {
        Ok(Err(error)) => error.root_cause().to_string() != NOT_DEFINED,
        Ok(Ok(_)) | Err(_) => false,
    }
}

/// wasmtime's error for a name that is not defined (a test checks it).
const NOT_DEFINED: &str = "function implementation is missing";

/// The component `(component (import NAME (func)))`, in binary (Component Model, `Binary.md`).
fn importing(name: &str) -> Vec<u8> {
    const PREAMBLE: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];
    // Section 7, five bytes: one type, a function's, without parameters and without a result.
    const TYPES: [u8; 7] = [0x07, 0x05, 0x01, 0x40, 0x00, 0x01, 0x00];
    // One import, by its plain name; it is a function, of type 0.
    let mut import = vec![0x01, 0x00];
    push_length(&mut import, name.len());
    import.extend_from_slice(name.as_bytes());
    import.extend_from_slice(&[0x01, 0x00]);
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

    fn linker(names: &[&str]) -> Linker<()> {
        let mut linker = Linker::new(&wasmtime::Engine::default());
        for name in names {
            linker.instance(name).unwrap().func_wrap("f", |_, ()| Ok(())).unwrap();
        }
        linker
    }

    #[test]
    fn a_name_is_known_if_the_linker_has_it_in_a_compatible_version() {
        let linker = linker(&["wasi:http/types@0.2.12", "acme:a/b"]);
        for known in ["wasi:http/types@0.2.12", "wasi:http/types@0.2.0", "acme:a/b"] {
            assert!(is_known(&linker, known), "{known}");
        }
        let long = format!("acme:a/{}", "c".repeat(300));
        for unknown in
            ["wasi:http/types@0.3.0", "wasi:http/types@1.2.12", "wasi:http/type@0.2.12", "acme:a/c", &long]
        {
            assert!(!is_known(&linker, unknown), "{unknown}");
        }
    }

    #[test]
    fn the_probe_is_the_component_it_claims_to_be() {
        for name in ["wasi:http/types@0.2.0", &format!("a:b/{}", "c".repeat(300))] {
            let text = format!("(component (import \"{name}\" (func)))");
            let engine = wasmtime::Engine::default();
            let names = |binary: &[u8]| -> Vec<String> {
                let component = Component::from_binary(&engine, binary).unwrap();
                component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect()
            };
            assert_eq!(names(&importing(name)), [name]);
            assert_eq!(names(&wat::parse_str(text).unwrap()), [name]);
        }
    }
}
