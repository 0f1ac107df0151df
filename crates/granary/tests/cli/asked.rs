//! What cannot be undone is asked for on a terminal, and nowhere else.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Server, granary};

/// Runs the binary on a terminal where this is typed; its exit code, and what the terminal shows.
fn on_terminal(server: &Server, args: &[&str], typed: &str) -> (Option<i32>, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let end = || File::options().read(true).write(true).open(&name).unwrap();
    let mut terminal = File::from(terminal);
    let mut command = granary(args);
    command
        .env("GRANARY_SERVER", &server.url)
        .stdin(end())
        .stderr(end())
        .stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Those of this process: the terminal has ended once nobody has it.
    drop(command);
    terminal.write_all(typed.as_bytes()).unwrap();
    let code = child.wait().unwrap().code();
    let (mut shown, mut piece) = (Vec::new(), [0; 4_096]);
    while let Ok(read @ 1..) = terminal.read(&mut piece) {
        shown.extend_from_slice(&piece[..read]);
    }
    (code, String::from_utf8(shown).unwrap())
}

#[test]
fn a_source_goes_with_all_it_holds_once_it_is_confirmed() {
    let server = Server::start();
    let purge = ["source", "delete", "library", "--purge"];
    for answer in ["n\n", "\n"] {
        let (code, shown) = on_terminal(&server, &purge, answer);
        assert_eq!(code, Some(1), "{shown}");
        assert!(
            shown.contains("delete source library with all it holds?"),
            "{shown}"
        );
        assert!(shown.contains("nothing is changed"), "{shown}");
        server.granary(&["source", "show", "library"]).ends(0);
    }
    let (code, shown) = on_terminal(&server, &purge, "y\n");
    assert_eq!(code, Some(0), "{shown}");
    server.granary(&["source", "show", "library"]).ends(1);
    // What holds nothing is nothing to ask for; and who says so beforehand is not asked.
    for more in [&[][..], &["--purge", "--yes"]] {
        server.granary(&["source", "apply", "library"]).ends(0);
        let (code, shown) = on_terminal(
            &server,
            &[&["source", "delete", "library"][..], more].concat(),
            "",
        );
        assert_eq!(code, Some(0), "{shown}");
        assert!(!shown.contains("[y/N]"), "{shown}");
    }
    // A program is not asked.
    server.granary(&["source", "apply", "library"]).ends(0);
    server.granary(&purge).ends(0);
}

#[test]
fn the_last_key_of_an_admin_goes_once_it_is_confirmed() {
    let server = Server::empty();
    let folder = server.folder.path().join("keys");
    let data = folder.to_str().unwrap();
    let create = |role: &str| {
        let args = ["key", "create", "--role", role, "--data", data, "--json"];
        let created = server.granary(&args).ends(0).json().remove(0);
        created["id"].as_str().unwrap().to_owned()
    };
    let (first, second, reader) = (create("admin"), create("admin"), create("reader"));
    let revoke = |id: &str, typed: &str| on_terminal(&server, &["key", "revoke", id, "--data", data], typed);
    for id in [&reader, &first] {
        let (code, shown) = revoke(id, "");
        assert_eq!(code, Some(0), "{shown}");
        assert!(!shown.contains("[y/N]"), "{shown}");
    }
    let (code, shown) = revoke(&second, "n\n");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the last key of an admin?"), "{shown}");
    assert_eq!(revoke(&second, "yes\n").0, Some(0));
}
