//! `list`, and what is said of a type that there is not.

use serde_json::{Value, json};

use super::Server;

/// A server with this many books, the first two by an author each.
fn library(count: usize) -> Server {
    let server = Server::start();
    let bulk = |args: &[&str], lines: Vec<Value>| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let args = [&["bulk", "-", "-s", "library", "--wait"], args].concat();
        server.granary_fed(&args, &lines).ends(0);
    };
    let book = |n: usize| {
        let identifier = json!([{"system": "isbn", "value": n.to_string()}]);
        json!({"id": format!("b{n:04}"), "data": {"title": "x".repeat(n % 100 + 1)}, "meta": {"identifier": identifier}})
    };
    bulk(&["--type", "book"], (0..count).map(book).collect());
    let author = |n: usize| json!({"id": format!("a{n}"), "data": {"name": "Ada"}});
    bulk(&["--type", "author"], (0..2).map(author).collect());
    let edge = |n: usize| json!({"from": {"type": "book", "id": format!("b{n:04}")}, "to": {"type": "author", "id": format!("a{n}")}});
    bulk(
        &["--relationships", "--type", "by"],
        (0..count.min(2)).map(edge).collect(),
    );
    server
}

#[test]
fn the_records_of_a_type_are_listed() {
    let server = library(1_100);
    let list = |args: &[&str]| server.granary(&[&["list", "-s", "library"], args].concat());
    let table = list(&["book"]).ends(0);
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 51, "a header and a line each");
    assert!(lines[0].starts_with("ID     VERSION  UPDATED"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("b0000        1  2") && lines[1].ends_with(r#"{"title":"x"}"#),
        "{}",
        lines[1]
    );
    assert!(table.stderr.contains("larger --limit"), "{}", table.stderr);
    // Over more than a page.
    let all = list(&["book", "--json", "--limit", "5000"]).ends(0);
    let ids: Vec<_> = all
        .json()
        .iter()
        .map(|book| book["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..1_100).map(|n| format!("b{n:04}")).collect::<Vec<_>>());
    assert_eq!(all.stderr, "");
    let two = server
        .granary(&["ls", "book", "-s", "library", "--limit", "2", "--json"])
        .ends(0);
    assert_eq!(two.stdout.lines().count(), 2);
    let one = list(&["book", "--identifier", "isbn:7:", "--json"])
        .ends(0)
        .json();
    assert_eq!((one.len(), &one[0]["id"]), (1, &json!("b0007")));

    let edges = list(&["by", "--relationship"]).ends(0).stdout;
    assert!(
        edges.contains("b0000.a0  ") && edges.contains("b0001.a1  "),
        "{edges}"
    );
    let to = list(&["by", "--relationship", "--to", "a1", "--json"])
        .ends(0)
        .json();
    assert_eq!((to.len(), &to[0]["id"]), (1, &json!("b0001.a1")));
    list(&["book", "--to", "a1"]).ends(1);
}

#[test]
fn a_type_that_there_is_not_is_told_with_what_was_likely_meant() {
    let server = library(1);
    let page = server.file("page.json", r#"{"type":"CONTAINED","properties":{}}"#);
    server
        .granary(&["profile", "apply", "-s", "library", "-f", &page])
        .ends(0);
    let said = |args: &[&str]| {
        server
            .granary(&[args, &["-s", "library"]].concat())
            .ends(1)
            .stderr
    };
    for (args, expected) in [
        (
            &["get", "boko", "x"][..],
            "there are no resources of type 'boko', did you mean 'book'?",
        ),
        (
            &["list", "boko"],
            "there are no resources of type 'boko', did you mean 'book'?",
        ),
        (
            &["get", "zebra", "x"],
            "there are no resources of type 'zebra'; `granary profile list -s library` shows those that there are",
        ),
        (
            &["get", "page", "x"],
            "there are no resources of type 'page'; `granary profile list -s library` shows those that there are",
        ),
        (
            &["get", "by", "x.y"],
            "'by' is a type of relationships; add --relationship",
        ),
        (
            &["list", "book", "--relationship"],
            "'book' is a type of resources; leave --relationship off",
        ),
        (&["get", "book", "nope"], "there is no 'book' with id 'nope'"),
    ] {
        assert_eq!(said(args), format!("error: {expected}\n"), "{args:?}");
    }
    let lacking = said(&["get", "book"]);
    assert!(
        lacking.contains("<ID>") && lacking.contains("`granary list TYPE` shows the ids"),
        "{lacking}"
    );
    let nowhere = server
        .granary(&["get", "book", "x", "-s", "nowhere"])
        .ends(1)
        .stderr;
    assert!(
        nowhere.starts_with("error: source 'nowhere' does not exist\n"),
        "{nowhere}"
    );
}
