//! Rust for the WIT packages of `wit/`, made by wasmtime.
//!
//! One world per package holds everything that there is. It only serves to make the code: components export and
//! import any part of it, and are looked at export by export (`exports.rs`).

/// `h8s:provider`.
pub(crate) mod h8s {
    wasmtime::component::bindgen!({
        path: "../wit/provider",
        inline: "
            package h8s:host;
            world everything {
                import h8s:provider/sender@0.1.0;
                export h8s:provider/receiver@0.1.0;
                export h8s:provider/lifecycle@0.1.0;
                export h8s:provider/request-reply@0.1.0;
            }
        ",
        world: "h8s:host/everything",
        imports: { default: async | trappable },
        exports: { default: async },
        trappable_error_type: { "h8s:provider/types.error" => crate::push::scope::SendingError },
    });

    pub(crate) use self::exports::h8s::provider as exported;
    pub(crate) use self::h8s::provider as imported;
}

/// `mattilsynet:h8s-provider`.
pub(crate) mod original {
    wasmtime::component::bindgen!({
        path: "../wit/mattilsynet-h8s-provider",
        inline: "
            package h8s:host;
            world everything {
                import mattilsynet:h8s-provider/sender@0.1.0;
                export mattilsynet:h8s-provider/receiver@0.1.0;
                export mattilsynet:h8s-provider/request-reply@0.1.0;
            }
        ",
        world: "h8s:host/everything",
        imports: { default: async | trappable },
        exports: { default: async },
    });

    pub(crate) use self::exports::mattilsynet::h8s_provider as exported;
    pub(crate) use self::mattilsynet::h8s_provider as imported;
}

/// `wasi:config`.
pub(crate) mod config {
    wasmtime::component::bindgen!({ path: "../wit/wasi-config", imports: { default: trappable } });

    pub(crate) use self::wasi::config::store;
}

/// The draft before it.
pub(crate) mod config_draft {
    wasmtime::component::bindgen!({ path: "../wit/wasi-config-draft", imports: { default: trappable } });

    pub(crate) use self::wasi::config::runtime;
}
