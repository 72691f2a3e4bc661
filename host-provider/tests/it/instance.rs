mod configuration;
mod faults;
mod limits;
mod reuse;
mod sandbox;
