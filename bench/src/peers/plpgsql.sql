-- The peer of equal semantics: a thousand operations in order, each in its own sub-transaction, a receipt each.
-- SELECT bulk($1) for a thousand operations, a commit each, default durability.
DROP TABLE IF EXISTS edge, resource, task;

CREATE TABLE resource (type text NOT NULL, id text COLLATE "C" NOT NULL, data jsonb NOT NULL,
    PRIMARY KEY (type, id), CHECK (:check));
CREATE TABLE edge (type text NOT NULL, from_type text NOT NULL, from_id text COLLATE "C" NOT NULL, to_type text NOT NULL,
    to_id text COLLATE "C" NOT NULL, data jsonb NOT NULL, PRIMARY KEY (type, from_id, to_id),
    FOREIGN KEY (from_type, from_id) REFERENCES resource ON DELETE CASCADE,
    FOREIGN KEY (to_type, to_id) REFERENCES resource ON DELETE CASCADE,
    CHECK (jsonb_typeof(data->'since') = 'string' AND data - '{since,hours}'::text[] = '{}'));
CREATE INDEX edge_to ON edge (to_type, to_id);
CREATE TABLE task (id bigserial PRIMARY KEY, receipts jsonb);

CREATE OR REPLACE FUNCTION bulk(ops jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE o jsonb; p jsonb; receipts jsonb[] := '{}'; e jsonb;
BEGIN
  FOR o IN SELECT value FROM jsonb_array_elements(ops) LOOP
    e := NULL; p := o->lower(o->>'action');
    BEGIN
      CASE o->>'action'
        WHEN 'CREATE' THEN
          IF p ? 'from' THEN
            INSERT INTO edge VALUES (p->>'type', p->'from'->>'type', p->'from'->>'id', p->'to'->>'type', p->'to'->>'id',
              p->'data');
          ELSE
            INSERT INTO resource VALUES (p->>'type', p->>'id', p->'data');
          END IF;
        WHEN 'UPSERT' THEN
          INSERT INTO resource VALUES (p->>'type', p->>'id', p->'data')
            ON CONFLICT (type, id) DO UPDATE SET data = EXCLUDED.data;
        WHEN 'DELETE' THEN
          DELETE FROM resource WHERE type = p->>'type' AND id = p->>'id';
          IF NOT FOUND THEN e := '{"code":404,"type":"NOT_FOUND"}'; END IF;
      END CASE;
    EXCEPTION
      WHEN unique_violation THEN e := '{"code":409,"type":"ALREADY_EXISTS"}';
      WHEN foreign_key_violation THEN e := '{"code":404,"type":"NOT_FOUND"}';
      WHEN check_violation OR not_null_violation THEN e := '{"code":400,"type":"INVALID"}';
    END;
    receipts := receipts || jsonb_strip_nulls(jsonb_build_object('id', p->>'id', 'type', p->>'type',
      'status', CASE WHEN e IS NULL THEN 'SUCCESS' ELSE 'FAILURE' END, 'error', e));
  END LOOP;
  INSERT INTO task (receipts) VALUES (to_jsonb(receipts));
  RETURN to_jsonb(receipts);
END $$;
