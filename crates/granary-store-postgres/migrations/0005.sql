-- Tasks of lanes that were removed. What such a task held, its receipts and segments, goes until it is `cleared`.
CREATE TABLE granary.removed_task (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    ksuid bytea NOT NULL,
    kind int2 NOT NULL,
    at int8 NOT NULL,
    cleared bool NOT NULL DEFAULT false,
    PRIMARY KEY (bucket, source, ksuid)
);
CREATE INDEX removed_task_half ON granary.removed_task (at) WHERE NOT cleared;
CREATE INDEX removed_task_time ON granary.removed_task (at) WHERE cleared;
-- Which tasks ended first.
CREATE INDEX task_ended ON granary.task (at_once, completed_at) WHERE completed_at IS NOT NULL;
