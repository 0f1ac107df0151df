//! Disks that fail. All of this is about a server on a folder.

use granary_tests::faults::{
    failing_syncs, failing_syncs_of_redo, failing_syncs_of_segments, flipped_bytes, full_disk, read_only_disk,
};
use granary_tests::power::Part;

const SEED: u64 = 20_261;

#[tokio::test]
async fn after_a_sync_that_failed_nothing_is_acknowledged_until_the_folder_is_opened_again() {
    for syncs in [9, 40] {
        let data = tempfile::tempdir().unwrap();
        let acknowledged = failing_syncs(data.path(), syncs, SEED).await;
        let acknowledged = acknowledged.unwrap_or_else(|error| panic!("after {syncs} syncs: {error:?}"));
        assert!(acknowledged > 1, "nothing was written before");
    }
}

#[tokio::test]
async fn a_request_whose_files_were_not_synced_is_not_accepted() {
    let data = tempfile::tempdir().unwrap();
    let refused = failing_syncs_of_segments(data.path(), SEED).await;
    refused.unwrap_or_else(|error| panic!("{error:?}"));
}

#[tokio::test]
async fn a_run_whose_redo_file_was_not_synced_is_not_applied() {
    let data = tempfile::tempdir().unwrap();
    let applied = failing_syncs_of_redo(data.path(), SEED).await;
    applied.unwrap_or_else(|error| panic!("{error:?}"));
}

#[tokio::test]
async fn a_full_disk_of_a_folder_refuses_new_work_and_loses_none() {
    let seen = full_disk(SEED).await.unwrap();
    eprintln!("{seen:?}");
    assert!(seen.accepted > 3 && seen.refused >= 3, "{seen:?}");
}

#[tokio::test]
async fn a_folder_that_is_read_only_is_told() {
    let said = read_only_disk(SEED).await.unwrap();
    assert!(said.contains("Read-only file system"), "{said}");
}

#[tokio::test]
async fn a_byte_that_changed_in_a_folder_is_never_answered() {
    let flips = flipped_bytes(10, SEED)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    eprintln!("{flips:#?}");
    for part in [Part::Journal, Part::Table, Part::Segment, Part::Version] {
        let told = flips.not_started.contains_key(&part) || flips.noticed.contains_key(&part);
        assert!(told, "no change of a {part} was noticed: {flips:?}");
    }
    assert!(!flips.noticed.is_empty(), "{flips:?}");
}
