mod program;
mod reload;
