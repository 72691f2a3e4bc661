//! `h8s permissions`: nats-server and the documentation accept its output, and all errors are reported.

use std::process::Output;

use h8s_test_support::NatsServer;
use h8s_test_support::{Tool, needs};
use serde_json::Value;

use crate::nats_users::{RawNats, permissions, printed, server, user};

const EXAMPLE: &str = include_str!("../../../examples/least-rights.conf");

fn errors(output: &Output) -> Vec<String> {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// The lines without indentation.
fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn invalid_flags_are_all_reported_with_exit_code_2() {
    let bad = "--role king --host a..b,ok.example,*.example.com --queue-group a* --subject-prefix . --user a'b \
               --format xml --frobnicate";
    let errors = errors(&permissions(bad).output().unwrap());
    for part in
        ["king", "\"a..b\"", "\"*.example.com\"", "\"a*\"", "--subject-prefix", "a'b", "xml", "--frobnicate"]
    {
        assert_eq!(errors.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {errors:#?}");
    }
    assert_eq!(errors.len(), 8, "{errors:#?}");
}

#[test]
fn flags_that_exclude_each_other_are_reported() {
    for (arguments, mistakes) in [
        ("", &["--role is missing"][..]),
        ("--role daemon --format nsc", &["--role daemon requires --host", "--format nsc requires --user"]),
        ("--role gateway --queue-group a", &["--role gateway uses no queue group"]),
        ("--role host --host a.b --queue-group a", &["h8s-host always uses the queue group h8s"]),
    ] {
        let errors = errors(&permissions(arguments).output().unwrap());
        assert_eq!(errors.len(), mistakes.len(), "{arguments}: {errors:#?}");
        assert!(errors.iter().zip(mistakes).all(|(line, mistake)| line.contains(mistake)), "{errors:#?}");
    }
}

#[test]
fn the_example_contains_the_output() {
    let example = trimmed(EXAMPLE).join("\n");
    for arguments in ["--role gateway --user gateway", "--role daemon --host app.localhost --user app"] {
        let printed = printed(arguments);
        let user: Vec<_> = trimmed(&printed).into_iter().skip_while(|line| line.starts_with('#')).collect();
        assert!(user.len() > 15 && example.contains(&user.join("\n")), "the example lacks:\n{printed}");
    }
}

#[tokio::test]
async fn the_block_alone_and_json_are_valid_server_configurations() {
    needs!(Tool::NatsServer);
    // given the same permissions in three forms
    let role = "--role daemon --host app.example.com --queue-group shop";
    let block = printed(role);
    let json: Value = serde_json::from_str(&printed(&format!("{role} --format json"))).unwrap();
    let whole = printed(&format!("{role} --format json --user whole"));
    let whole = whole.replacen('{', "{ \"password\": \"pw\",", 1);
    let users = [
        user("printed", role),
        format!("{{ user: block, password: pw\n{block}\n}}"),
        format!("{{ user: json, password: pw, permissions: {json} }}"),
        whole,
    ];
    let nats = server(&users).await;
    for name in ["printed", "block", "json", "whole"] {
        // when each tries a permitted and a forbidden subject
        let mut client = RawNats::connect(&nats, name).await;
        let subject = "h8s.x.ANY.com.example.app._.%2A";
        // then they are the same
        assert!(client.may_subscribe(subject, "shop").await, "{name}");
        assert!(!client.may_subscribe(subject, "h8s").await, "{name}");
        assert!(!client.may_publish("h8s.control.ws.broadcast.com.example.app").await, "{name}");
    }
}

#[test]
fn the_nsc_command_grants_every_permission_once() {
    let role = "--role operator --host app.example.com --user eye";
    let json: Value = serde_json::from_str(&printed(&format!("{role} --format json"))).unwrap();
    let command = printed(&format!("{role} --format nsc"));
    assert!(command.contains("\nnsc add user --name eye \\\n"), "{command}");
    let permissions = &json["permissions"];
    for (flag, rights) in [
        ("--allow-pub", &permissions["publish"]["allow"]),
        ("--allow-sub", &permissions["subscribe"]["allow"]),
        ("--deny-sub", &permissions["subscribe"]["deny"]),
    ] {
        let rights = rights.as_array().unwrap();
        assert!(!rights.is_empty());
        for right in rights {
            let argument = format!("{flag} '{}'", right.as_str().unwrap());
            assert_eq!(command.matches(&argument).count(), 1, "{argument}: {command}");
        }
        assert_eq!(command.matches(flag).count(), rights.len(), "{command}");
    }
}

#[tokio::test]
async fn the_example_is_a_valid_server_configuration() {
    needs!(Tool::NatsServer);
    let example = EXAMPLE.replace("listen: 127.0.0.1:4222", "");
    let example = example.replace("$GATEWAY_PASSWORD", "pw").replace("$APP_PASSWORD", "pw");
    let nats = NatsServer::with_config(&example).await;
    for (user, may) in [("gateway", true), ("app", false)] {
        let mut client = RawNats::connect(&nats, user).await;
        assert_eq!(client.may_publish("h8s.http.GET.localhost.app._").await, may, "{user}");
    }
}

#[test]
fn the_page_shows_how_it_begins() {
    let page = include_str!("../../../docs/operations/least-rights.md");
    let (_, shown) = page.split_once("$ h8s permissions ").unwrap();
    let (arguments, shown) = shown.split_once('\n').unwrap();
    let (shown, _) = shown.split_once("…\n```").unwrap();
    assert!(shown.lines().count() > 5 && printed(arguments).starts_with(shown), "{shown}");
}
