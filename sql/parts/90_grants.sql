-- Nothing for PUBLIC; to each kind of role exactly what it needs.

CREATE FUNCTION custbackup.require_role(role regrole) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- NULL, '-' and the oid of no role are regroles too.
	IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role) THEN
		RAISE EXCEPTION 'custbackup: there is no role %', coalesce(role::text, 'NULL')
			USING ERRCODE = 'undefined_object', HINT = 'Name a role that exists, as GRANT would have it.';
	END IF;
END;
$$;
COMMENT ON FUNCTION custbackup.require_role(regrole) IS 'A clear error, where there is no such role';

CREATE FUNCTION custbackup.grant_api(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM custbackup.require_role(role);
	EXECUTE format('GRANT USAGE ON SCHEMA custbackup TO %s', role);
	-- Every column but connection_url may be read; all may be written.
	EXECUTE format('GRANT SELECT (id, token, team_id, tier, resource_type, status, created_at), INSERT, UPDATE, DELETE
		ON custbackup.resources TO %s', role);
	EXECUTE format('GRANT SELECT ON custbackup.backups, custbackup.restores, custbackup.leftovers, custbackup.progress, custbackup.schedule,
		custbackup.status TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION custbackup.request_backup(uuid, text, text),
		custbackup.request_restore(uuid, uuid, text, boolean), custbackup.cancel(uuid), custbackup.expire(uuid),
		custbackup.reason_text(custbackup.reason), custbackup.schedule_at(timestamptz), custbackup.status_at(timestamptz),
		custbackup.token_is_safe(text) TO %s', role);
END;
$$;
COMMENT ON FUNCTION custbackup.grant_api(regrole) IS
	'For the platform''s API: manages resources (without reading connection_url), asks for backups and restores, reads the views';

CREATE FUNCTION custbackup.grant_monitor(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM custbackup.require_role(role);
	EXECUTE format('GRANT USAGE ON SCHEMA custbackup TO %s', role);
	EXECUTE format('GRANT SELECT ON custbackup.counters, custbackup.leftovers, custbackup.progress, custbackup.schedule,
		custbackup.status TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION custbackup.schedule_at(timestamptz), custbackup.status_at(timestamptz) TO %s', role);
END;
$$;
COMMENT ON FUNCTION custbackup.grant_monitor(regrole) IS 'For an exporter: reads counters, leftovers, progress, schedule and status';

CREATE FUNCTION custbackup.grant_runner(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM custbackup.require_role(role);
	EXECUTE format('GRANT USAGE ON SCHEMA custbackup TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION custbackup.claim(text, integer, uuid[], timestamptz),
		custbackup.report(uuid, text, timestamptz), custbackup.renew(text, uuid[], timestamptz) TO %s', role);
END;
$$;
COMMENT ON FUNCTION custbackup.grant_runner(regrole) IS 'For a runner on any host: claim, report and renew, nothing else';

CREATE FUNCTION custbackup.grant_worker(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM custbackup.grant_runner(role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION custbackup.schedule(timestamptz), custbackup.next_wake(timestamptz),
		custbackup.leases(), custbackup.give_back(uuid, bigint, timestamptz) TO %s', role);
END;
$$;
COMMENT ON FUNCTION custbackup.grant_worker(regrole) IS
	'For the role of the background worker (custbackup.role): a runner that also schedules and watches the leases of others';

-- Nobody but the owner has anything yet: neither PUBLIC, nor whom the database's ALTER DEFAULT PRIVILEGES favours.
DO $$
DECLARE
	given record;
BEGIN
	FOR given IN
		WITH made (kind, name, owner, acl) AS (
			SELECT 'SCHEMA', n.oid::regnamespace::text, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
			  FROM pg_namespace n WHERE n.oid = 'custbackup'::regnamespace
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner, c.relacl
			  FROM pg_class c WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v', 'S')
			UNION ALL
			SELECT 'FUNCTION', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
			  FROM pg_proc p WHERE p.pronamespace = 'custbackup'::regnamespace
			UNION ALL
			SELECT 'TYPE', t.oid::regtype::text, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
			  FROM pg_type t WHERE t.typnamespace = 'custbackup'::regnamespace AND t.typelem = 0)
		SELECT DISTINCT m.kind, m.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
		  FROM made m CROSS JOIN LATERAL aclexplode(m.acl) a
		 WHERE a.grantee <> m.owner
	LOOP
		EXECUTE format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
	END LOOP;
	-- pg_dump knows nothing of what a table's row type had from the start, and would warn of each at every dump.
	DELETE FROM pg_init_privs i
	 WHERE i.classoid = 'pg_type'::regclass
	   AND i.objoid IN (SELECT c.reltype FROM pg_class c WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind <> 'c');
END $$;
