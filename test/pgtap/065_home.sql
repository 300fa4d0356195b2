-- A copy of the control database that comes up elsewhere removes nothing from the stores until it is adopted.
BEGIN;
\ir include/fleet.psql
SELECT plan(14);

SELECT ok(custbackup.is_home(), 'before the first pass every place is home');
SELECT custbackup.schedule();
SELECT is((h.host, h.data_directory), (w.host, w.data_directory), 'the first pass settles') FROM custbackup.home h, custbackup.whereabouts() w;
SELECT is(w.data_directory, current_setting('data_directory'), 'in this data directory') FROM custbackup.whereabouts() w;
SELECT is(removals_paused, false, 'nothing is paused') FROM custbackup.status;

UPDATE custbackup.home SET host = 'elsewhere';
SELECT custbackup.schedule();
SELECT is(host, 'elsewhere', 'a copy on another host does not settle by itself') FROM custbackup.home;
SELECT is(removals_paused, true, 'which status shows') FROM custbackup.status;

SELECT pg_temp.resource('acme') AS acme \gset
SELECT pg_temp.resource('other') AS other \gset
SELECT pg_temp.backed_up(:'acme') AS good \gset
-- A backup that is to be tried again, an earlier attempt of which may have stored something.
SELECT custbackup.request_backup(:'other') AS lost \gset
SELECT pg_temp.claim('gone') AS attempt \gset
SELECT pg_temp.started(:'attempt'), pg_temp.upload(:'attempt');
SELECT count(*) FROM custbackup.claim('gone', 0);
SELECT custbackup.expire(:'good') AS expiry \gset

UPDATE custbackup.home SET host = w.host, data_directory = '/elsewhere' FROM custbackup.whereabouts() w;
SELECT ok(NOT custbackup.is_home(), 'nor one in another data directory');
CREATE TEMP TABLE claimed AS SELECT * FROM custbackup.claim('r1', 10, as_of => now() + interval '1 minute');
SELECT is(array_agg(kind), ARRAY['backup'], 'it takes backups, and removes none') FROM claimed;
SELECT is(job::jsonb -> 'previous', '[]', 'not even what an earlier attempt left') FROM claimed WHERE job_id = :'lost';
SELECT is(pg_temp.state(:'expiry'), 'pending', 'the removal waits');
SELECT is(custbackup.next_wake(), (SELECT next_slot FROM custbackup.scheduler), 'and nobody is woken for it');

SELECT custbackup.adopt();
SELECT is(adopted_by, session_user::text, 'adopted, and by whom') FROM custbackup.home;
SELECT is(array_agg(job_id), ARRAY[:'expiry'::uuid], 'the removal goes on') FROM custbackup.claim('r2', 10);
SELECT is(removals_paused, false, 'nothing is paused any more') FROM custbackup.status;
SELECT * FROM finish();
ROLLBACK;
