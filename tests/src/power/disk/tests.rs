//! What is there after a cut, by the letter.

use super::*;

fn made(name: &str) -> Event {
    Event::Made {
        folder: ROOT,
        name: name.into(),
        is_folder: false,
    }
}

fn wrote(file: Inode, offset: u64, bytes: &[u8]) -> Event {
    let bytes = bytes.into();
    Event::Wrote { file, offset, bytes }
}

fn synced(sync: usize, of: Inode) -> [Event; 2] {
    [Event::SyncBegan { sync, of }, Event::SyncEnded { sync }]
}

/// The files that are there after these events.
fn after(events: &[Event], pending: Pending) -> BTreeMap<String, Vec<u8>> {
    let mut disk = Disk::new();
    events.iter().for_each(|event| disk.apply(event));
    let folder = tempfile::tempdir().unwrap();
    disk.write_to(folder.path(), pending).unwrap();
    let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn files<const N: usize>(files: [(&str, &[u8]); N]) -> BTreeMap<String, Vec<u8>> {
    let owned = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    owned.into()
}

#[test]
fn a_file_is_there_once_it_and_its_folder_are_synced() {
    let (file, folder) = (synced(0, 1), synced(1, ROOT));
    let begun = [made("a"), wrote(1, 0, b"abc")];
    let all = [&begun[..], &file, &folder].concat();
    assert_eq!(after(&all, Pending::Lost), files([("a", b"abc")]));
    assert_eq!(after(&[&begun[..], &file].concat(), Pending::Lost), files([]));
    let named = [&begun[..], &folder].concat();
    assert_eq!(after(&named, Pending::Lost), files([("a", b"")]));
    assert_eq!(after(&named, Pending::Names), files([("a", b"")]));
    assert_eq!(after(&named, Pending::Lengths), files([("a", &[0; 3])]));
}

#[test]
fn a_sync_covers_what_came_before_it_began_and_is_worth_nothing_before_its_end() {
    let events = [
        made("a"),
        wrote(1, 0, b"abc"),
        Event::SyncBegan { sync: 0, of: 1 },
        wrote(1, 3, b"def"),
        Event::SyncBegan { sync: 1, of: 1 },
        wrote(1, 6, b"ghi"),
    ];
    let named = [&events[..], &synced(2, ROOT)].concat();
    assert_eq!(after(&named, Pending::Lost), files([("a", b"")]));
    let first = [&named[..], &[Event::SyncEnded { sync: 0 }]].concat();
    assert_eq!(after(&first, Pending::Lost), files([("a", b"abc")]));
    let both = [&first[..], &[Event::SyncEnded { sync: 1 }]].concat();
    assert_eq!(after(&both, Pending::Lost), files([("a", b"abcdef")]));
    let other = [
        &named[..],
        &[Event::SyncEnded { sync: 1 }, Event::SyncEnded { sync: 0 }],
    ]
    .concat();
    assert_eq!(after(&other, Pending::Lost), files([("a", b"abcdef")]));
}

#[test]
fn a_name_that_was_removed_or_taken_over_comes_back_until_the_folder_is_synced() {
    let rename = Event::Renamed {
        from: (ROOT, "b".into()),
        to: (ROOT, "a".into()),
    };
    let old = [made("a"), wrote(1, 0, b"old")];
    let new = [made("b"), wrote(2, 0, b"new")];
    let before = [
        &old[..],
        &synced(0, 1),
        &new,
        &synced(1, 2),
        &synced(2, ROOT),
        &[rename],
    ]
    .concat();
    assert_eq!(
        after(&before, Pending::Lost),
        files([("a", b"old"), ("b", b"new")])
    );
    assert_eq!(after(&before, Pending::Names), files([("a", b"new")]));
    let renamed = [&before[..], &synced(3, ROOT)].concat();
    assert_eq!(after(&renamed, Pending::Lost), files([("a", b"new")]));
    let remove = Event::Removed {
        folder: ROOT,
        name: "a".into(),
    };
    let removed = [&renamed[..], &[remove]].concat();
    assert_eq!(after(&removed, Pending::Lost), files([("a", b"new")]));
    assert_eq!(after(&removed, Pending::Names), files([]));
    // A rename is one step.
    let both = [files([("a", b"old"), ("b", b"new")]), files([("a", b"new")])];
    for seed in 0..20 {
        let found = after(&before, Pending::Some(seed));
        assert!(both.contains(&found), "{found:?}");
    }
}

#[test]
fn by_chance_some_sectors_are_there_and_what_was_synced_always() {
    let base = [made("a"), wrote(1, 0, &[1; 4 * SECTOR])];
    let base = [&base[..], &synced(0, 1), &synced(1, ROOT)].concat();
    let events = [&base[..], &[wrote(1, 100, &[2; 4 * SECTOR])]].concat();
    let (mut torn, mut reordered) = (false, false);
    for seed in 0..50 {
        let found = after(&events, Pending::Some(seed));
        assert_eq!(found, after(&events, Pending::Some(seed)), "a seed tells all");
        let bytes = &found["a"];
        assert_eq!(bytes[..100], [1; 100]);
        assert!((4 * SECTOR..=4 * SECTOR + 100).contains(&bytes.len()));
        let sectors: Vec<u8> = (0..4).map(|sector| bytes[sector * SECTOR + 200]).collect();
        for (sector, first) in sectors.iter().enumerate() {
            let rest = &bytes[(sector * SECTOR).max(100)..(sector + 1) * SECTOR];
            assert!(rest.iter().all(|byte| byte == first), "a sector is whole");
        }
        torn |= sectors.contains(&1) && sectors.contains(&2);
        reordered |= sectors.windows(2).any(|pair| pair == [1, 2]);
    }
    assert!(torn && reordered);
}

#[test]
fn what_is_in_a_folder_goes_with_its_name() {
    let folder = Event::Made {
        folder: ROOT,
        name: "folder".into(),
        is_folder: true,
    };
    let inside = Event::Made {
        folder: 1,
        name: "a".into(),
        is_folder: false,
    };
    let events = [&[folder, inside][..], &synced(0, 1)].concat();
    let mut disk = Disk::new();
    events.iter().for_each(|event| disk.apply(event));
    let empty = tempfile::tempdir().unwrap();
    disk.write_to(empty.path(), Pending::Lost).unwrap();
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    disk.write_to(empty.path(), Pending::Names).unwrap();
    assert!(empty.path().join("folder/a").is_file());
}

#[test]
fn a_file_that_was_cut_off_has_zeros_where_it_grows_again() {
    let cut = [2_u64, 6].map(|length| Event::Resized { file: 1, length });
    let events = [
        &[made("a"), wrote(1, 0, b"abcd")][..],
        &cut,
        &synced(0, 1),
        &synced(1, ROOT),
    ]
    .concat();
    assert_eq!(after(&events, Pending::Lost), files([("a", b"ab\0\0\0\0")]));
}
