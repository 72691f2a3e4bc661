//! `h8s permissions`: what it prints is what a nats-server and the documentation take, and mistakes are all told.

use std::process::Output;

use h8s_test_support::NatsServer;
use serde_json::Value;

use crate::nats_users::{RawNats, permissions, printed, server, user};

const EXAMPLE: &str = include_str!("../../../examples/least-rights.conf");

fn said(output: &Output) -> Vec<String> {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// The lines without what indents them.
fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn mistakes_are_all_told_with_exit_code_2() {
    let bad = "--role king --host a..b,ok.example,*.example.com --queue-group a* --subject-prefix . --user a'b \
               --format xml --frobnicate";
    let said = said(&permissions(bad).output().unwrap());
    for part in
        ["king", "\"a..b\"", "\"*.example.com\"", "\"a*\"", "--subject-prefix", "a'b", "xml", "--frobnicate"]
    {
        assert_eq!(said.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {said:#?}");
    }
    assert_eq!(said.len(), 8, "{said:#?}");
}

#[test]
fn flags_that_do_not_fit_together_are_told() {
    for (arguments, mistakes) in [
        ("", &["--role is missing"][..]),
        ("--role daemon --format nsc", &["--role daemon answers for hosts", "--format nsc makes a user"]),
        ("--role gateway --queue-group a", &["--role gateway is in no queue group"]),
        ("--role host --host a.b --queue-group a", &["h8s-host is in the queue group h8s"]),
    ] {
        let said = said(&permissions(arguments).output().unwrap());
        assert_eq!(said.len(), mistakes.len(), "{arguments}: {said:#?}");
        assert!(said.iter().zip(mistakes).all(|(line, mistake)| line.contains(mistake)), "{said:#?}");
    }
}

#[test]
fn the_example_has_what_is_printed() {
    let example = trimmed(EXAMPLE).join("\n");
    for arguments in ["--role gateway --user gateway", "--role daemon --host app.localhost --user app"] {
        let printed = printed(arguments);
        let user: Vec<_> = trimmed(&printed).into_iter().skip_while(|line| line.starts_with('#')).collect();
        assert!(user.len() > 15 && example.contains(&user.join("\n")), "the example has not:\n{printed}");
    }
}

#[tokio::test]
async fn a_block_alone_and_json_are_configurations_of_a_server_too() {
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
        // when each tries something that is in them, and something that is not
        let mut client = RawNats::connect(&nats, name).await;
        let subject = "h8s.x.ANY.com.example.app._.%2A";
        // then they are the same
        assert!(client.may_subscribe(subject, "shop").await, "{name}");
        assert!(!client.may_subscribe(subject, "h8s").await, "{name}");
        assert!(!client.may_publish("h8s.control.ws.broadcast.com.example.app").await, "{name}");
    }
}

#[test]
fn nsc_is_given_every_right_once() {
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
async fn the_example_is_a_configuration() {
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
