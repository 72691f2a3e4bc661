//! Whole chains: clients over sockets, gateway, NATS, host and components as separate processes; and checks of the
//! workspace as a whole.

#![allow(clippy::unwrap_used, reason = "a failed precondition of a test is a panic")]

mod apart;
mod browser;
mod denied;
mod deploy;
mod dev;
mod directories;
mod faults;
mod least_rights;
mod links;
mod mistakes;
mod monitored;
mod nats_users;
mod outages;
mod permissions;
mod plain;
mod plain_websocket;
mod programs;
mod put_online;
mod readme;
mod rebuilds;
mod reference;
mod reverse;
mod rooms;
mod security;
mod threads;
mod threats;
mod websockets;
mod workspace;
