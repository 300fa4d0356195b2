-- What a person reads who asks for something that cannot be.
SET client_min_messages = error;
SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';
CREATE EXTENSION custbackup;
\set acme '''11111111-1111-4111-8111-111111111111'''
\set VERBOSITY default
\set SHOW_CONTEXT never

-- nothing there yet
SELECT custbackup.request_backup(:acme);
SELECT custbackup.request_restore(:acme);
SELECT custbackup.cancel(:acme);
SELECT custbackup.expire(:acme);

-- rows that cannot be
INSERT INTO custbackup.stores (name, url, created_at) VALUES ('default', 's3://key:secret@bucket', '2026-01-01');
INSERT INTO custbackup.stores (name, url) VALUES ('EU backups', 's3://bucket');
UPDATE custbackup.tiers SET cadence = '1 month' WHERE tier = 'pro';
DELETE FROM custbackup.tiers WHERE tier = 'free';
DELETE FROM custbackup.engines WHERE resource_type = 'redis';
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url, created_at) VALUES (:acme, '../etc', 'pro', 'postgres', 'x', '2026-01-01');
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES (:acme, 'acme', 'pro', 'postgres', 'postgres://app:secret@db/app');
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES (:acme, 'acme', 'pro', 'postgres', 'host=db password=secret');

-- a backup that waits, then fails
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES (:acme, 'acme', 'pro', 'postgres', 'x');
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('22222222-2222-4222-8222-222222222222', 'globex', 'pro', 'postgres', 'x');
SELECT custbackup.request_backup(:acme, idempotency_key => 'a') IS NOT NULL AS asked;
SELECT custbackup.request_backup('22222222-2222-4222-8222-222222222222', idempotency_key => 'a');
DO $$
BEGIN
	PERFORM custbackup.request_restore(id) FROM custbackup.jobs;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE EXCEPTION '%', regexp_replace(sqlerrm, '[0-9a-f-]{36}', 'ID') USING ERRCODE = '55000';
END $$;
-- no store yet
SELECT count(*) FROM custbackup.claim('regress', 1, '{}', now() + interval '1 minute');
SELECT status, reason, message, detail FROM custbackup.backups;
SELECT custbackup.claim('', 1);
SELECT custbackup.schedule('infinity');
SELECT custbackup.request_backup(:acme, requested_by => repeat('x', 1001));
SELECT custbackup.request_backup(:acme, idempotency_key => repeat('x', 201));
SELECT custbackup.grant_api(NULL);
DROP EXTENSION custbackup;
DROP SCHEMA custbackup;
