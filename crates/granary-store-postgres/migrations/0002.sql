-- What was answered to requests that are carried out once.
CREATE TABLE granary.answer (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    -- Of the path of the request and its idempotency key.
    name bytea NOT NULL,
    task text NOT NULL,
    fingerprint bytea NOT NULL,
    status int4 NOT NULL,
    part text COLLATE "C",
    at int8 NOT NULL,
    PRIMARY KEY (bucket, source, name)
);
CREATE INDEX answer_time ON granary.answer (at);
