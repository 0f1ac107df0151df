//! A server whose power is cut, at any point of its work.

use granary_tests::power::{Part, Recording, Scene, Summary};

const SEED: u64 = 20_261;

async fn cut(recording: &Recording, count: usize) -> Summary {
    let cut = recording.cut(count, SEED).await;
    let summary = cut.unwrap_or_else(|error| panic!("seed {SEED}: {error:?}"));
    assert_eq!(summary.folders, count + summary.after_answers);
    summary
}

/// Leaves the syncs of a part out of the record: something must not hold then, and says this. What that was.
async fn fails_without(recording: &Recording, part: Part, says: &str) -> String {
    let failed = recording.without(part, 24, SEED).await.unwrap();
    let failed = format!("without the sync of {part}: {failed}");
    assert!(failed.contains(says), "{failed}");
    failed
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_where_the_power_is_cut_inside_runs() {
    let recording = Recording::of(Scene::Runs, SEED).await.unwrap();
    let summary = cut(&recording, 40).await;
    eprintln!("{summary:#?}");
    assert!(summary.inside_runs >= 6, "{summary:?}");
    assert!(summary.after_answers >= 6, "{summary:?}");
    for (part, says) in [
        (Part::Segment, "is missing or does not have its"),
        (Part::SegmentsFolder, "is missing or does not have its"),
        (Part::Journal, "source"),
        (Part::Redo, "is not the run that was applied"),
        (Part::RedoFolder, "source"),
        // At the first start after the cut, or at the next.
        (Part::KeyspacesFolder, "is damaged"),
    ] {
        eprintln!("{}", fails_without(&recording, part, says).await);
    }
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_where_the_power_is_cut_inside_collection() {
    let recording = Recording::of(Scene::Collection, SEED).await.unwrap();
    let summary = cut(&recording, 16).await;
    eprintln!("{summary:#?}");
    assert!(summary.inside_rounds >= 2, "{summary:?}");
    let says = "is missing or does not have its";
    eprintln!("{}", fails_without(&recording, Part::MovedSegment, says).await);
}

#[tokio::test]
async fn nothing_is_lost_where_the_power_is_cut_again_while_a_run_is_put_in_again() {
    let recording = Recording::of(Scene::Restart, SEED).await.unwrap();
    let summary = cut(&recording, 16).await;
    eprintln!("{summary:#?}");
    assert!(summary.inside_runs >= 4, "{summary:?}");
}

/// What a process leaves in the memory of the system is read by the next, which shows it: it has to be durable by then.
#[tokio::test]
async fn nothing_that_is_shown_after_a_death_is_lost_where_the_power_is_cut() {
    for (scene, says) in [
        (Scene::DeathAtRest, "was shown at 20 and is back at 0"),
        (Scene::DeathInRun, "source"),
    ] {
        let recording = Recording::of(scene, SEED).await.unwrap();
        let summary = cut(&recording, 16).await;
        eprintln!("{scene:?}: {summary:#?}");
        assert!(summary.after_answers >= 1, "{summary:?}");
        let failed = recording.without_those_of_start(Part::Journal).await.unwrap();
        eprintln!("{scene:?}, its start without syncs of the journal: {failed}");
        assert!(failed.contains(says), "{failed}");
    }
}
