//! What anyone can see is on disk, whatever the database is set to.

use granary_store::suite::world::{World, create, operations};

use crate::world::Database;

/// Writes down how each transaction commits that writes a row of this table.
fn note_commits_of(table: &str) -> String {
    format!(
        "CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON granary.{table} \
         FOR EACH STATEMENT EXECUTE FUNCTION public.note();"
    )
}

/// What clients can see the rows of.
const SEEN: [&str; 4] = ["resource", "task", "receipts", "definition"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_seen_is_committed_durably_whatever_the_database_is_set_to() {
    for (setting, wanted) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        let database = Database::new();
        // The first node makes the tables.
        drop(database.node().await);
        database.sql("CREATE TABLE public.noted (name text, commit text)");
        database.sql(
            "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.noted VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); \
             RETURN NULL; END $$",
        );
        for table in SEEN {
            database.sql(&note_commits_of(table));
        }
        let name = &database.name;
        database.sql(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = {setting}"
        ));
        let world = World::new(database.node().await).await;
        world
            .bulk(&[create("person", "aa", 1), create("person", "bb", 1)])
            .await;
        world.apply_all(operations(1)).await;
        world.write(&[create("person", "cc", 1)]).await;
        for table in SEEN {
            let how = database.sql(&format!(
                "SELECT string_agg(DISTINCT commit, ' ') FROM public.noted WHERE name = '{table}'"
            ));
            assert_eq!(how, wanted, "{table} where the database says {setting}");
        }
    }
}
