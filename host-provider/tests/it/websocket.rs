mod messages;
mod sending;
mod survival;
