-- The first schema. `bucket` is a hash of what a row belongs to and the first column of every key, so that one
-- transaction touches one bucket and the tables can be spread over machines by it. No foreign keys: what
-- is there is seen under locks, and deleted sources are freed in pieces.

-- What belongs to the store as a whole: one row.
CREATE TABLE granary.store (
    one bool PRIMARY KEY DEFAULT true CHECK (one),
    hash_key bytea NOT NULL
);

-- How many numbers of sources each bucket has given; none is given twice.
CREATE TABLE granary.bucket (
    bucket int2 PRIMARY KEY,
    sources int4 NOT NULL
);

-- Stamps: each write of a source takes a run of this many once it holds the locks of what it writes.
CREATE SEQUENCE granary.stamp AS int8 INCREMENT BY 8192 START WITH 8192 CACHE 1;

CREATE TABLE granary.source (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    key text COLLATE "C" NOT NULL,
    created_at int8 NOT NULL,
    next_number int4 NOT NULL,
    definitions_revision int8 NOT NULL,
    -- Until then writers stand back for somebody who needs the row alone.
    reserved_until timestamptz NOT NULL DEFAULT '-infinity',
    dead bool NOT NULL DEFAULT false,
    PRIMARY KEY (bucket, source)
);
CREATE UNIQUE INDEX source_key ON granary.source (bucket, key) WHERE NOT dead;
CREATE INDEX source_list ON granary.source (key) WHERE NOT dead;
CREATE INDEX source_dead ON granary.source (bucket, source) WHERE dead;

CREATE TABLE granary.definition (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    kind int2 NOT NULL,
    key text COLLATE "C" NOT NULL,
    number int4 NOT NULL,
    -- The numbers of the profiles at the ends of a relationship definition.
    from_number int4,
    to_number int4,
    revision int8 NOT NULL,
    json text NOT NULL,
    vocabularies text[] COLLATE "C" NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    PRIMARY KEY (bucket, source, kind, key)
);
CREATE UNIQUE INDEX definition_number ON granary.definition (bucket, source, number);
CREATE INDEX definition_vocabularies ON granary.definition USING gin (vocabularies);

CREATE TABLE granary.resource (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    type int4 NOT NULL,
    version int4 NOT NULL,
    stamp int8 NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    at_once bool NOT NULL,
    id text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    identifiers_hash bytea,
    identifiers text,
    data text NOT NULL,
    PRIMARY KEY (bucket, source, type, id)
);

CREATE TABLE granary.identifier (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    type int4 NOT NULL,
    id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (bucket, source, type, id, digest)
);
CREATE INDEX identifier_digest ON granary.identifier (bucket, source, type, digest, id);

CREATE TABLE granary.edge (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    type int4 NOT NULL,
    version int4 NOT NULL,
    stamp int8 NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    at_once bool NOT NULL,
    from_id text COLLATE "C" NOT NULL,
    to_id text COLLATE "C" NOT NULL,
    hash bytea NOT NULL,
    identifiers_hash bytea,
    identifiers text,
    data text NOT NULL,
    PRIMARY KEY (bucket, source, type, from_id, to_id)
);
CREATE INDEX edge_in ON granary.edge (bucket, source, type, to_id, from_id);

-- A deleted resource whose edges are still there: those with a smaller stamp exist for nobody.
CREATE TABLE granary.mark (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    type int4 NOT NULL,
    id text COLLATE "C" NOT NULL,
    stamp int8 NOT NULL,
    -- The purge that counts them.
    purge int8,
    PRIMARY KEY (bucket, source, type, id)
);

-- Held by each acceptance for a source, and by a lane that is given back: so no task is forgotten.
CREATE TABLE granary.intake (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    PRIMARY KEY (bucket, source)
);

CREATE TABLE granary.lane (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    fence int8 NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    runnable bool NOT NULL DEFAULT false,
    ready_at timestamptz NOT NULL DEFAULT now(),
    -- Take-overs since the cursor moved last.
    attempts int4 NOT NULL DEFAULT 0,
    -- Who tries the next operation alone, and how many have died at it.
    trier text,
    deaths int4 NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, source)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX lane_ready ON granary.lane (ready_at) WHERE runnable;

CREATE TABLE granary.task (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    -- Of a single write or a bundle: applied at once, never in the lane.
    at_once bool NOT NULL,
    sequence int8 NOT NULL,
    ksuid bytea NOT NULL,
    kind int2 NOT NULL,
    target int2,
    total int8 NOT NULL,
    cursor int8 NOT NULL,
    failures int8 NOT NULL,
    created_at int8 NOT NULL,
    started_at int8,
    completed_at int8,
    cancelled bool NOT NULL,
    purge bytea,
    types bytea NOT NULL,
    -- The numbers of all types that it names, those at the ends of edges included.
    type_numbers int4[] NOT NULL,
    bytes int8 NOT NULL,
    PRIMARY KEY (bucket, source, at_once, sequence)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX task_ksuid ON granary.task (bucket, source, ksuid);
CREATE INDEX task_waiting ON granary.task (bucket, source, sequence) INCLUDE (bytes) WHERE completed_at IS NULL;

-- An upload under way. Who spools it renews it; what has expired is swept.
CREATE TABLE granary.upload (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    ksuid bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    bytes int8 NOT NULL,
    abandoned bool NOT NULL DEFAULT false,
    PRIMARY KEY (bucket, source, ksuid)
);

-- What was spooled, of uploads and of tasks. `operations` stay as long as the task, which takes receipts from them;
-- `bodies` go once all of them are applied.
CREATE TABLE granary.segment (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    ksuid bytea NOT NULL,
    number int4 NOT NULL,
    first int8 NOT NULL,
    count int4 NOT NULL,
    failed bool NOT NULL DEFAULT false,
    operations bytea NOT NULL,
    bodies bytea,
    PRIMARY KEY (bucket, source, ksuid, number)
);
ALTER TABLE granary.segment ALTER COLUMN operations SET STORAGE EXTERNAL, ALTER COLUMN bodies SET STORAGE EXTERNAL;

-- The receipts of a chunk in one row.
CREATE TABLE granary.receipts (
    bucket int2 NOT NULL,
    source int4 NOT NULL,
    ksuid bytea NOT NULL,
    first int8 NOT NULL,
    count int4 NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (bucket, source, ksuid, first)
);
ALTER TABLE granary.receipts ALTER COLUMN body SET STORAGE EXTERNAL;

-- Held by each change of vocabularies, and shared by definitions that name any: one row.
CREATE TABLE granary.terminology (
    bucket int2 PRIMARY KEY,
    vocabularies int4 NOT NULL
);
INSERT INTO granary.terminology VALUES (0, 0);

CREATE TABLE granary.vocabulary (
    bucket int2 NOT NULL,
    key text COLLATE "C" NOT NULL,
    number int4 NOT NULL,
    revision int8 NOT NULL,
    concepts int8 NOT NULL,
    code_bytes int8 NOT NULL,
    content bytea NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX vocabulary_list ON granary.vocabulary (key);

CREATE TABLE granary.concept (
    bucket int2 NOT NULL,
    vocabulary int4 NOT NULL,
    code text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    PRIMARY KEY (bucket, vocabulary, code)
);

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
