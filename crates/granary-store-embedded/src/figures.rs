//! What the store tells of itself.

use granary_store::Figure;

use crate::Inner;

impl Inner {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let (syncs, sync_time) = self.sync.syncs();
        let collection = self.collection_figures();
        let journal = self.db.journal_disk_space().unwrap_or(0);
        let counter = |name, help, value: u64| Figure::counter(name, help, value as f64);
        let gauge = |name, help, value: u64| Figure::gauge(name, help, value as f64);
        vec![
            counter("syncs", "Syncs of the journal", syncs),
            Figure::counter("sync_seconds", "What these took", sync_time.as_secs_f64()),
            gauge("journal_bytes", "Bytes of the journal", journal),
            gauge(
                "write_buffer_bytes",
                "What the database has in memory and its journal alone",
                self.db.write_buffer_size(),
            ),
            counter(
                "collection_rounds",
                "Rounds of collection that came to their end",
                collection.rounds,
            ),
            counter(
                "collection_rewritten_bytes",
                "Bytes that collection has moved",
                collection.bytes_rewritten,
            ),
            counter(
                "collection_freed_bytes",
                "Bytes of the files that collection has removed",
                collection.bytes_freed,
            ),
            gauge(
                "collection_bytes",
                "Bytes of bodies that may be collected, as last looked at",
                collection.bytes_total,
            ),
            gauge(
                "collection_live_bytes",
                "What is alive of these, about",
                collection.bytes_live,
            ),
            gauge(
                "damaged_segments",
                "Segments that could not be read",
                collection.segments_damaged,
            ),
        ]
    }
}
