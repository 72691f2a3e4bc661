//! The HTTP edge of h8s: h8sd, and the library it is made of.
