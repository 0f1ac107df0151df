//! The behaviours that every store shows, written once: each is an `async fn` whose name says what holds, on a fresh
//! store from a [`Fixture`]. `granary_store::behaviours!` makes a test of each; [`history`] compares random histories
//! with the reference store and with `decide` alone.
//!
//! ```ignore
//! struct OnDisk { /* … */ }
//! impl granary_store::suite::Fixture for OnDisk { /* … */ }
//! granary_store::behaviours!(OnDisk::new());
//! ```

#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod access;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod chunks;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod definitions;
pub mod history;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod idempotency;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod lanes;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod meta;
mod model;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod operations;
mod ops;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod purges;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod receipts;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod records;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod relationships;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod retention;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod snapshots;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod sources;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod store;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod tasks;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod terminology;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod uploads;
pub mod world;
#[expect(missing_docs, reason = "the name of a behaviour is its sentence")]
pub mod writes;

use std::future::Future;

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::limits::Limits;

use crate::{Result, Store, StoreError, StoreLimits};

/// Where the stores of a test come from.
pub trait Fixture: Send + Sync {
    /// The store that is tested.
    type Store: Store;

    /// An empty store with these limits.
    fn with_limits(&self, limits: StoreLimits) -> impl Future<Output = Self::Store> + Send;

    /// Ends this store as a stop of the server does, and opens what it kept; `None` from a store that keeps nothing.
    fn reopen(&self, store: Self::Store) -> impl Future<Output = Option<Self::Store>> + Send;

    /// Has a store do now what it does by itself in the background, between two steps of a history.
    fn tend(&self, _store: &Self::Store) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// An empty store.
    fn fresh(&self) -> impl Future<Output = Self::Store> + Send {
        self.with_limits(StoreLimits::from(&Limits::default()))
    }
}

/// Says that a behaviour, or the rest of it, is not asked of a store that keeps nothing.
pub(crate) fn skip(behaviour: &str) {
    use std::io::Write;
    let line = format!("skipped: {behaviour}: this store keeps nothing over a reopen\n");
    // The log of a test is what it prints; whether that can be written is not what is tested.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Reopens the store of a world, or returns from the behaviour where the store keeps nothing.
macro_rules! reopen_or_skip {
    ($fixture:expr, $world:expr, $behaviour:literal) => {
        match $world.reopened($fixture).await {
            Some(world) => world,
            None => return $crate::suite::skip($behaviour),
        }
    };
}
pub(crate) use reopen_or_skip;

/// What a call was refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T>) -> ErrorObject {
    match outcome {
        Err(StoreError::Refused(error)) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Sees that a call was refused with this type.
pub(crate) fn refused_with<T: std::fmt::Debug>(outcome: Result<T>, expected: ErrorType) {
    let error = refusal(outcome);
    assert_eq!(error.error_type, expected, "{error}");
}

/// Makes a test of each of these behaviours, in a module for each noun.
#[doc(hidden)]
#[macro_export]
macro_rules! behaviours_of {
    ($fixture:expr; $($noun:ident: $($name:ident),+;)+) => {
        $(mod $noun {
            #[allow(unused_imports, reason = "what the expression for the fixture names")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::suite::$noun::$name(&$fixture).await;
                }
            )+
        })+

        /// A behaviour that is written but stands in no list would never run.
        #[test]
        fn every_behaviour_has_its_test() {
            $crate::suite::see_that_all_are_listed(&[$((stringify!($noun), &[$(stringify!($name)),+])),+]);
        }
    };
}

/// Makes a test of every behaviour for the fixture that an expression makes.
#[macro_export]
macro_rules! behaviours {
    ($fixture:expr) => {
        $crate::behaviours_of! {
            $fixture;
            store:
                the_hash_key_stays,
                a_closed_store_takes_no_writes,
                what_was_shown_is_there_after_a_reopen;
            sources:
                a_source_is_created_once,
                sources_are_listed_in_key_order_with_every_page_size,
                a_source_that_holds_something_is_not_deleted,
                a_source_created_again_sees_nothing_of_the_old_one,
                calls_with_the_handle_of_a_deleted_source_are_not_found,
                an_upload_to_a_source_that_was_deleted_is_not_found,
                the_lane_of_a_deleted_source_is_lost,
                two_sources_are_apart,
                two_deletions_of_a_source_leave_the_next_one,
                a_number_is_not_given_twice_over_a_reopen;
            definitions:
                a_definition_is_stored_and_replaced,
                definitions_are_listed_by_kind_and_key,
                a_definition_beside_others_than_were_seen_is_not_stored,
                of_two_definitions_stored_at_once_one_is_told_to_look_again,
                a_definition_created_again_is_another_type,
                a_definition_that_does_not_exist_is_not_deleted,
                a_definition_with_records_is_not_deleted,
                a_definition_that_a_waiting_task_names_is_not_deleted,
                a_type_does_not_change_what_it_is_while_it_is_in_use,
                the_limit_of_definitions_is_kept,
                definitions_stay_over_a_reopen;
            uploads:
                an_accepted_request_is_a_pending_task,
                a_dropped_upload_leaves_nothing,
                tasks_stand_in_the_order_of_acceptance,
                the_limit_of_waiting_tasks_is_kept,
                the_limit_of_spooled_bytes_is_kept,
                a_type_deleted_during_an_upload_refuses_it,
                a_definition_replaced_during_an_upload_does_not_matter,
                a_definition_made_another_during_an_upload_refuses_it,
                bodies_of_every_size_come_back,
                requests_around_the_inline_bound_come_back,
                a_request_of_many_pushes_comes_back,
                a_request_that_shrinks_when_it_is_packed_comes_back,
                a_request_without_bodies_is_applied,
                spooled_bytes_are_given_back_at_the_end_of_the_task,
                operations_wait_until_they_are_decided,
                an_accepted_request_stays_over_a_reopen;
            lanes:
                without_work_there_is_no_lane,
                a_lane_is_held_by_one,
                lanes_are_claimed_in_the_order_of_waiting,
                a_lane_released_with_work_waits_behind_the_others,
                a_lane_claimed_by_another_is_lost_to_the_first,
                a_lane_goes_through_all_its_tasks,
                a_task_accepted_while_its_lane_is_held_is_not_forgotten,
                a_task_accepted_while_its_lane_is_released_is_not_forgotten,
                many_workers_never_hold_one_lane_together,
                lanes_with_work_are_found_after_a_reopen;
            chunks:
                chunks_of_any_size_come_to_the_same,
                a_chunk_moves_the_cursor_by_what_it_applied,
                a_budget_of_bytes_lets_one_operation_go,
                every_action_on_a_resource_present_and_absent,
                every_action_on_an_edge_present_and_absent,
                a_failed_operation_leaves_the_next_one_running,
                the_times_of_a_task_are_those_of_its_chunks,
                single_writes_go_between_two_chunks,
                an_operation_that_is_given_up_fails_alone,
                the_last_operation_that_is_given_up_ends_its_task,
                a_purge_has_no_operation_to_give_up,
                an_operation_of_a_lane_that_is_not_held_is_not_given_up,
                an_operation_that_was_given_up_stays_so_over_a_reopen,
                a_task_goes_on_where_its_cursor_stands_after_a_reopen;
            writes:
                a_single_write_answers_the_record_and_leaves_a_task,
                a_refused_write_leaves_nothing,
                a_bundle_is_all_or_nothing,
                a_bundle_sees_its_own_earlier_operations,
                a_bundle_may_delete_and_create_what_it_deleted,
                a_bundle_of_very_many_operations_is_before_what_follows_it,
                an_equal_upsert_answers_what_is_stored,
                a_write_checked_by_other_definitions_is_told_to_look_again,
                of_two_creates_at_once_one_succeeds,
                a_bundle_cannot_go_round_a_bound_that_was_tightened,
                a_write_stays_over_a_reopen;
            idempotency:
                a_bulk_request_is_accepted_once,
                a_purge_is_accepted_once,
                a_write_is_carried_out_once,
                a_refused_request_leaves_its_name_free,
                of_many_sent_at_once_one_is_carried_out,
                an_answer_is_kept_for_a_time,
                an_answer_stays_over_a_reopen,
                answers_go_with_their_source;
            records:
                a_record_shows_its_versions_and_times,
                no_two_states_of_a_record_have_one_stamp,
                an_equal_upsert_changes_nothing,
                an_id_may_stand_in_two_types,
                resources_are_listed_in_byte_order_with_every_page_size,
                a_page_of_large_bodies_ends_early_and_says_so,
                a_body_is_the_last_one_written_wherever_it_was_before,
                records_read_together_stand_as_they_were_asked_for,
                records_read_together_are_of_one_moment,
                what_does_not_exist_is_not_found;
            meta:
                identifiers_are_kept_until_others_are_sent,
                meta_of_large_requests_comes_back,
                imported_times_are_kept,
                an_edge_keeps_its_meta,
                a_write_answers_the_meta_it_leaves,
                a_guard_lets_one_state_through,
                identifiers_stay_over_a_reopen;
            purges:
                a_purge_deletes_every_record_of_its_type,
                a_purge_of_edges_leaves_their_ends,
                a_purge_takes_its_place_in_the_order_of_tasks,
                a_purge_spares_what_is_written_after_it_was_accepted,
                a_type_that_a_purge_waits_for_is_not_deleted,
                a_cancelled_task_keeps_what_it_did,
                a_waiting_task_is_cancelled_among_others,
                a_task_that_does_not_exist_is_not_cancelled,
                a_resource_with_many_edges_is_gone_at_once,
                removing_many_edges_goes_on_after_a_reopen,
                a_source_is_purged_with_all_it_holds;
            relationships:
                an_edge_needs_both_its_ends,
                a_bounded_end_has_room_for_one_edge,
                an_edge_may_join_a_resource_with_itself,
                a_deleted_resource_takes_its_edges_along,
                an_id_that_starts_another_keeps_its_edges_apart,
                edges_are_listed_by_either_end_with_every_page_size,
                a_list_of_edges_goes_on_after_any_place,
                an_edge_without_data_has_an_empty_body,
                edges_of_two_types_are_apart;
            snapshots:
                a_snapshot_is_of_one_moment,
                a_source_that_is_gone_has_no_snapshot,
                what_is_put_back_is_as_it_was,
                definitions_are_put_back_into_a_source_that_holds_nothing;
            tasks:
                tasks_are_listed_newest_first_with_every_page_size,
                tasks_are_filtered,
                a_task_is_found_by_its_id_in_its_source_alone,
                tasks_stay_over_a_reopen,
                a_retry_names_its_parent_wherever_it_is_read;
            operations:
                operations_are_read_back_as_they_were_accepted,
                what_failed_or_was_cancelled_is_kept_with_its_body,
                operations_over_many_segments_are_read_back,
                a_page_of_operations_ends_where_their_bodies_are_large,
                operations_of_writes_applied_at_once_and_of_purges,
                operations_are_there_after_a_reopen,
                operations_of_a_source_that_is_gone_are_not_found;
            receipts:
                receipts_are_read_from_any_operation_with_any_limit,
                a_half_done_task_has_receipts_of_both_kinds,
                receipts_are_of_the_moment_when_the_task_was_read,
                a_receipt_says_why_an_operation_failed,
                receipts_of_writes_applied_at_once,
                receipts_over_many_chunks_and_blocks,
                receipts_of_a_source_that_is_gone_are_not_found;
            retention:
                tasks_that_ended_before_go_and_all_others_stay,
                single_writes_and_bundles_go_whole_and_leave_nothing,
                a_write_of_a_clock_that_was_ahead_keeps_none_that_follow,
                the_oldest_go_where_tasks_take_too_many_bytes,
                that_a_task_was_removed_is_forgotten_in_time,
                removing_a_task_goes_on_after_a_reopen,
                a_task_that_was_cancelled_among_others_and_removed_is_not_missed,
                edges_of_a_purge_that_was_removed_go_all_the_same,
                a_source_takes_its_removed_tasks_along;
            terminology:
                a_vocabulary_is_stored_replaced_and_deleted,
                changes_of_vocabularies_are_judged_in_order_each_on_its_own,
                vocabularies_are_listed_in_key_order_with_every_page_size,
                a_concept_is_stored_replaced_and_deleted,
                changes_of_concepts_are_judged_in_order_each_on_its_own,
                concepts_are_listed_in_byte_order_with_every_page_size,
                a_page_of_large_concepts_ends_early_and_says_so,
                the_revision_of_a_vocabulary_moves_with_its_concepts_alone,
                a_vocabulary_goes_with_its_concepts_and_another_comes_without,
                of_two_that_create_a_concept_at_once_one_succeeds,
                a_vocabulary_that_a_definition_is_bound_to_stays,
                a_definition_that_names_a_vocabulary_that_is_gone_is_not_stored,
                a_binding_and_the_end_of_its_vocabulary_do_not_pass_each_other,
                the_limits_of_vocabularies_and_concepts_are_kept,
                a_closed_store_changes_no_vocabulary,
                vocabularies_stay_over_a_reopen;
            access:
                keys_are_kept_as_they_were_created_and_listed_by_id,
                the_revision_of_keys_moves_with_each_that_comes_or_goes,
                a_key_is_revoked_once_and_alone,
                the_last_use_of_a_key_only_goes_forward,
                the_limit_of_keys_is_kept,
                a_closed_store_changes_no_key,
                keys_stay_over_a_reopen;
        }
    };
}

/// Sees that each function of the suite that takes a fixture stands in the list of `behaviours!`.
#[doc(hidden)]
pub fn see_that_all_are_listed(listed: &[(&str, &[&str])]) {
    let files = [
        ("access", include_str!("access.rs")),
        ("chunks", include_str!("chunks.rs")),
        ("definitions", include_str!("definitions.rs")),
        ("idempotency", include_str!("idempotency.rs")),
        ("lanes", include_str!("lanes.rs")),
        ("meta", include_str!("meta.rs")),
        ("operations", include_str!("operations.rs")),
        ("purges", include_str!("purges.rs")),
        ("receipts", include_str!("receipts.rs")),
        ("records", include_str!("records.rs")),
        ("relationships", include_str!("relationships.rs")),
        ("retention", include_str!("retention.rs")),
        ("snapshots", include_str!("snapshots.rs")),
        ("sources", include_str!("sources.rs")),
        ("store", include_str!("store.rs")),
        ("tasks", include_str!("tasks.rs")),
        ("terminology", include_str!("terminology.rs")),
        ("uploads", include_str!("uploads.rs")),
        ("writes", include_str!("writes.rs")),
    ];
    for (noun, text) in files {
        let names = listed.iter().find(|(listed, _)| *listed == noun);
        let names = names.map(|(_, names)| *names).unwrap_or_default();
        let written = text
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("<F: Fixture>"));
        for (name, _) in written {
            assert!(
                names.contains(&name),
                "{noun}::{name} is in no list of `behaviours!`"
            );
        }
    }
}
