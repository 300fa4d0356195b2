-- Who is backed up, and when: every rule once.

CREATE FUNCTION custbackup.base_tier(tier text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN right(tier, 7) = '_yearly' THEN left(tier, -7) ELSE tier END;
END;
COMMENT ON FUNCTION custbackup.base_tier(text) IS 'A tier that is paid by the year is backed up as its base tier';

-- The first byte of a uuid spreads a fleet over the day only while it is random. A version-7 uuid begins with the
-- time, 01 until 2039, so it is hashed whole.
CREATE FUNCTION custbackup.daily_hour(team_id uuid, resource_id uuid) RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	-- One expression, as the next one: the planner puts it in place of its call, a hundred thousand times a pass.
	SELECT get_byte(CASE WHEN get_byte(uuid_send(coalesce(team_id, resource_id)), 6) >> 4 = 7
		THEN sha256(uuid_send(coalesce(team_id, resource_id))) ELSE uuid_send(coalesce(team_id, resource_id)) END, 0) % 24;
END;
COMMENT ON FUNCTION custbackup.daily_hour(uuid, uuid) IS
	'The hour of the day, UTC, in which a daily backup falls: by the team, or where there is none by the resource';

CREATE FUNCTION custbackup.slot_offset(cadence interval, at_daily_hour boolean, team_id uuid, resource_id uuid) RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT make_interval(secs =>
		CASE WHEN at_daily_hour THEN 3600 * custbackup.daily_hour(team_id, resource_id) ELSE 0 END
		+ (('x' || encode(substr(sha256(uuid_send(resource_id)), 2, 4), 'hex'))::bit(32)::bigint & 2147483647)
		  % least(3600, extract(epoch FROM cadence)::bigint));
END;
COMMENT ON FUNCTION custbackup.slot_offset(interval, boolean, uuid, uuid) IS
	'How far into a period a resource''s slot lies: the daily hour, and a spread within the hour by a hash of the id';

CREATE FUNCTION custbackup.slot_at(as_of timestamptz, cadence interval, slot_offset interval) RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	-- Seconds alone are added and taken away: a day of 23 hours somewhere is no matter of ours.
	SELECT date_bin(cadence, as_of - slot_offset, timestamptz '2000-01-01 00:00:00+00') + slot_offset;
END;
COMMENT ON FUNCTION custbackup.slot_at(timestamptz, interval, interval) IS 'The latest slot that is not after as_of';

-- A clock may be wrong, but it shows some time: what ended never, or is due never, would be nobody's wish.
CREATE FUNCTION custbackup.require_time(as_of timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF as_of BETWEEN timestamptz '0001-01-01 00:00:00+00' AND timestamptz '9999-12-31 00:00:00+00' IS NOT TRUE THEN
		RAISE EXCEPTION 'custbackup: as_of is %, which is no time that a clock can show', coalesce(as_of::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out for the present moment.';
	END IF;
	RETURN as_of;
END;
$$;
COMMENT ON FUNCTION custbackup.require_time(timestamptz) IS 'The same, or a clear error where as_of is no time';

-- Three obstacles, each a sentence or NULL. Who asks decides which of them count: a safety backup is taken whatever the
-- tier says, and a restore does not ask for the tier.
CREATE TYPE custbackup.policy AS (
	id uuid,
	token text,
	team_id uuid,
	tier text,
	resource_type text,
	connection_url text,
	engine text,
	cadence interval,
	slot_offset interval,
	status_obstacle text,
	tier_obstacle text,
	engine_obstacle text
);
COMMENT ON TYPE custbackup.policy IS 'A resource, its engine, its period, and what stands in the way of a backup';

-- The columns of a platform's own table may hold anything. No tier, type or token that is one is longer than this, and
-- what is longer must not break an index, or fill the queue.
CREATE FUNCTION custbackup.policies(resource_id uuid DEFAULT NULL) RETURNS SETOF custbackup.policy
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT r.id, left(r.token, 250), r.team_id, left(r.tier, 250), left(r.resource_type, 250), r.connection_url, e.engine, t.cadence,
		CASE WHEN t.cadence IS NOT NULL THEN custbackup.slot_offset(t.cadence, t.at_daily_hour, r.team_id, r.id) END,
		CASE WHEN r.status IS DISTINCT FROM 'active'
			THEN format('the status of resource %s is "%s", not "active"', r.id, left(r.status, 250)) END,
		CASE WHEN t.tier IS NULL THEN format('tier "%s" of resource %s is not listed in custbackup.tiers', left(r.tier, 250), r.id)
			WHEN t.cadence IS NULL THEN format('tier "%s" takes no backups', r.tier) END,
		CASE WHEN e.resource_type IS NULL THEN format('there is no engine for resources of type "%s"', left(r.resource_type, 250))
			WHEN NOT e.enabled THEN format('the engine for resources of type "%s" is disabled', r.resource_type) END
	  FROM custbackup.source_resources(resource_id) AS r
	  LEFT JOIN custbackup.tiers t ON t.tier = custbackup.base_tier(r.tier)
	  LEFT JOIN custbackup.engines e ON e.resource_type = r.resource_type
	 WHERE r.id IS NOT NULL;
END;
COMMENT ON FUNCTION custbackup.policies(uuid) IS 'Every resource, or one of them, and what is to be done with it';
