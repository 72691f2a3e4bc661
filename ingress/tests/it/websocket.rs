mod ends;
mod limits;
mod messages;
mod push;
mod slow;
mod upgrade;
