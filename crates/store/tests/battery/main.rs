//! One battery of checks that every database behind the store has to pass, and what is peculiar
//! to SQLite.

#![allow(clippy::unwrap_used, reason = "in a test it is the message")]

extern crate morgana_store as store;

mod audit;
mod bench;
mod hub;
mod journal;
mod observed;
mod queue;
mod sinks;
mod sqlite;
mod topologies;
mod users;

/// Runs every check on the database that `$bench` makes.
macro_rules! battery {
    ($database:ident, $bench:expr, { $($module:ident: $($check:ident),* $(,)?;)* }) => {
        mod $database {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $check() {
                    crate::$module::$check($bench).await;
                })*
            })*
        }
    };
}

battery!(on_sqlite, crate::bench::Bench::sqlite(), {
    queue:
        each_mutation_ends_once_under_concurrent_claimers,
        late_finish_after_reclaim_is_fenced,
        a_worker_that_begins_anew_takes_up_its_own_claims_at_once,
        lease_ends_at_its_boundary,
        same_key_gets_the_same_answer,
        concurrent_requests_of_one_key_queue_once,
        refusals,
        full_queue_refuses,
        deploying_keeps_mutations_queued,
        teardown_ends_what_is_unfinished,
        failed_mutation_leaves_the_topology,
        applied_mutation_writes_state_and_events,
        finish_on_a_moved_topology_changes_nothing,
        an_undo_marks_what_it_takes_back;
    journal:
        seq_is_dense_under_writers_and_rollbacks,
        watch_is_never_ahead_of_the_journal,
        pruning_keeps_the_newest,
        snapshot_is_one_moment;
    topologies:
        rows_come_back_as_they_went,
        what_is_known_is_what_is_kept,
        status_is_compared_and_set,
        status_is_set_at_one_version,
        deckies_tell_creation_and_retirement,
        name_is_free_after_teardown,
        the_kill_switch_is_written_down_at_once,
        reopening_keeps_everything;
    observed:
        repeating_an_observation_changes_nothing,
        sessions_never_go_back,
        large_batches_are_whole,
        pages_are_stable_under_inserts,
        sessions_are_filtered,
        batch_knowledge_is_complete,
        a_batch_of_a_stream_is_understood_once;
    hub:
        a_registered_repo_is_published_once,
        versions_are_compared_and_count_changes_only,
        what_is_referred_to_stays,
        completion_is_published_on_the_transition_only,
        a_domain_has_one_active_goal,
        decisions_are_resolved_once,
        a_workstream_counts_its_tasks_and_its_quiet,
        a_key_stands_for_one_request_of_one_person_for_a_day,
        nothing_begins_in_a_workstream_that_is_over,
        a_sweep_cancels_every_stale_task_and_says_so,
        lists_of_the_hub_are_paged;
    sinks:
        positions_never_go_back,
        dead_letters_are_buried_once,
        dead_letters_are_retried,
        a_sink_with_too_many_dead_letters_stays;
    users:
        setup_is_consumed_once,
        setup_secret_expires,
        last_administrator_stays,
        disabling_ends_browser_sessions,
        browser_sessions_end_in_time,
        api_tokens_are_kept_and_revoked;
    audit:
        entries_are_chained;
});
