//! The wasmtime host of h8s: h8s-host, and the library it is made of.
