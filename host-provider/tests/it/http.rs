mod bodies;
mod heads;
mod request_reply;
mod slow_uploads;
mod streams;
