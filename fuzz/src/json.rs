//! The scanner against `serde_json`: it takes the same texts for JSON, keeps them but for white space, and reads the same
//! from them.

use granary_core::json::{Halt, Kind, Scanner, push_string};

use crate::tree::{Tree, is_json, names_a_surrogate};

const DEPTH_MAX: usize = 64;

/// What the scanner makes of the whole input without white space.
fn compact(bytes: &[u8], depth_max: usize) -> Result<Vec<u8>, Halt> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(bytes, depth_max, &mut out);
    scanner.start_copy();
    scanner.skip()?;
    scanner.stop_copy();
    scanner.finish()?;
    Ok(out)
}

/// The tree that the scanner reads; true where a text holds half of a surrogate pair.
fn read(scanner: &mut Scanner<'_, '_>, lone: &mut bool) -> Result<Tree, Halt> {
    Ok(match scanner.peek()? {
        Kind::Null => {
            scanner.literal(Kind::Null)?;
            Tree::Null
        }
        kind @ (Kind::True | Kind::False) => {
            scanner.literal(kind)?;
            Tree::Boolean(kind == Kind::True)
        }
        Kind::Number => Tree::Number(scanner.number()?.to_owned()),
        Kind::String => {
            let text = scanner.string()?;
            *lone |= text.lone_surrogate();
            Tree::Text(text.decode().into_owned())
        }
        Kind::Array => {
            scanner.open()?;
            let mut elements = Vec::new();
            while scanner.element(elements.is_empty())? {
                elements.push(read(scanner, lone)?);
            }
            Tree::Array(elements)
        }
        Kind::Object => {
            scanner.open()?;
            let mut members = Vec::new();
            while let Some(name) = scanner.member(members.is_empty())? {
                *lone |= name.lone_surrogate();
                let name = name.decode().into_owned();
                members.push((name, read(scanner, lone)?));
            }
            Tree::Object(members)
        }
    })
}

/// How deep objects and arrays are nested in what is JSON.
fn depth(tree: &Tree) -> usize {
    match tree {
        Tree::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Tree::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

pub fn run(input: &[u8]) {
    let scanned = compact(input, usize::MAX);
    if let Err(Halt::Syntax { offset, .. }) = scanned {
        assert!(offset <= input.len());
    }
    let mut nothing = Vec::new();
    let checked = Scanner::new(input, 1, &mut nothing).check_syntax();
    assert_eq!(
        scanned.as_ref().err(),
        checked.as_ref().err(),
        "a check of the syntax says the same"
    );
    if !names_a_surrogate(input) {
        assert_eq!(scanned.is_ok(), is_json(input), "{scanned:?}");
    }
    let mut lone = false;
    let mut scanner = Scanner::new(input, DEPTH_MAX, &mut nothing);
    let tree = read(&mut scanner, &mut lone).and_then(|tree| scanner.finish().map(|()| tree));
    match (&tree, &scanned) {
        (Ok(_), Ok(_)) => {}
        (Err(Halt::TooDeep), _) => assert_eq!(compact(input, DEPTH_MAX), Err(Halt::TooDeep)),
        (Err(one), Err(other)) => assert_eq!(one, other),
        _ => panic!("read token by token: {tree:?}, skipped: {scanned:?}"),
    }
    let (Ok(compacted), Ok(tree)) = (scanned, tree) else {
        return;
    };
    assert_eq!(
        compact(&compacted, DEPTH_MAX).as_deref(),
        Ok(&*compacted),
        "what is compact stays"
    );
    let deep = depth(&tree);
    assert_eq!(
        compact(input, deep).as_deref(),
        Ok(&*compacted),
        "nested as deep as allowed"
    );
    if deep > 0 {
        assert_eq!(compact(input, deep - 1), Err(Halt::TooDeep));
    }
    match Tree::read(input) {
        Some(peers) => {
            assert!(!lone);
            assert_eq!(tree, peers);
            assert_eq!(
                Tree::read(&compacted).as_ref(),
                Some(&tree),
                "compaction keeps the meaning"
            );
        }
        None => assert!(
            lone,
            "serde_json reads no text from {:?}",
            String::from_utf8_lossy(input)
        ),
    }
    if let Tree::Text(text) = &tree
        && !lone
    {
        let mut written = Vec::new();
        push_string(&mut written, text);
        assert_eq!(
            serde_json::from_slice::<String>(&written).ok().as_ref(),
            Some(text)
        );
    }
}
