-- Held by each change of API keys, and what says that they changed: one row.
CREATE TABLE granary.access (
    bucket int2 PRIMARY KEY,
    revision int8 NOT NULL
);
INSERT INTO granary.access VALUES (0, 0);

-- API keys, a few. Of the key itself only the hash is here. `sources` is {*} for a key for all.
CREATE TABLE granary.api_key (
    bucket int2 NOT NULL,
    ksuid bytea NOT NULL,
    name text,
    role int2 NOT NULL,
    sources text[] NOT NULL,
    hash bytea NOT NULL,
    created_at int8 NOT NULL,
    last_used_at int8,
    PRIMARY KEY (bucket, ksuid)
);
