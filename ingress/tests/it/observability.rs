mod access_log;
mod admin;
mod t20_metrics;
