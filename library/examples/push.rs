//! Lists the open WebSockets of a host and sends each a message; then one to all of them. It serves nothing, and need not
//! be the process that does.
//!
//! ```console
//! $ cargo run --example push -- ws.example.com 'the service restarts in a minute'
//! ```

use h8s::{Connections, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "ws.example.com".into());
    let text = arguments.next().unwrap_or_else(|| "hello".into());

    let bus = h8s::connect(&url).await?;
    let connections = Connections::of(&bus, &host).await?;
    for entry in connections.list() {
        println!("{} {}", entry.connection, entry.path);
        connections.send(entry.connection, Message::text(format!("you are {}", entry.connection))).await?;
    }
    connections.broadcast(Message::text(text)).await?;
    connections.flush().await;
    Ok(())
}
