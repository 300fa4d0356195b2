/*
 * redis_backup.c
 *	  Which way a Redis is read.
 *
 * A snapshot is asked for where it leaves no trace.  A server that may not send
 * without its disk (repl-diskless-sync) writes over its own dump.rdb first; that is only asked
 * of one that does so by itself and lately could: an unwritable directory would
 * make it refuse its customer's writes, and a server that keeps no file would
 * load the stray one at its next start.  Else, and where the URL names a database
 * of a server that others use too, key by key.
 */
#include <stdarg.h>
#include <stdio.h>

#include "engines/redis_source.h"

bool
redis_note(SourceFacts *facts, Failure *failure, const char *format, ...)
{
	char	text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return sentence_add(&facts->notes, failure, "%s", text);
}

static bool
note_marks(const RedisServer *server, SourceFacts *facts, Failure *failure)
{
	for (size_t i = 0; i < server->database_count; i++)
	{
		const RedisDatabase *database = &server->databases[i];
		bool				 noted = true;

		if (database->mark == REDIS_MARK_UNFINISHED)
			noted = redis_note(
				facts, failure,
				"a restore into database %d did not come to its end: this backup holds what it left",
				database->number);
		else if (database->mark != REDIS_MARK_NONE)
			noted =
				redis_note(facts, failure,
						   "database %d holds the leftovers of a restore: not counted, and never restored",
						   database->number);
		if (!noted)
			return false;
	}
	return true;
}

/* Does the server write its own RDB file, and has it done so since its start? "ok" alone is also said by one that never tried. */
static bool
surely_persists(const RedisServer *server)
{
	int64_t started_at = server->now - server->uptime_seconds;

	return server->persists_rdb && server->last_save_was_good && server->last_save_at > started_at + 1;
}

static bool
choose(const RedisServer *server, int database, RedisWay *way, SourceFacts *facts, Failure *failure)
{
	*way = REDIS_BY_SCAN;
	if (database != REDIS_ALL_DATABASES && !redis_server_is_empty_beside(server, database))
		return redis_note(facts, failure,
						  "read key by key: the URL names database %d, and others on this server hold keys",
						  database);
	if (server->config_is_known && server->sends_without_disk)
		*way = REDIS_WITHOUT_DISK;
	else if (server->config_is_known && surely_persists(server))
		*way = REDIS_OVER_DISK;
	else if (!server->config_is_known)
		return redis_note(
			facts, failure,
			"read key by key: the server does not let this role see by CONFIG GET whether a snapshot "
			"would touch its files");
	else
		return redis_note(
			facts, failure,
			"read key by key: repl-diskless-sync is off and the server has saved no RDB file of its own, "
			"so a snapshot would leave one");
	return true;
}

static Resp *
open_connection(const EngineContext *context, const RedisUrl *url, Failure *failure)
{
	Resp	 *resp = resp_open(url, context->settings, REDIS_HEEDS_CANCEL, failure);
	RespReply reply;
	bool	  passed;

	if (resp == NULL)
		return NULL;
	/* So that the customer's CLIENT LIST tells who this is; that the role may not say so does not matter. */
	passed = resp_ask(resp, &reply, failure, "CLIENT", "SETNAME", "custbackup", NULL);
	if (passed && resp_is_turned_away(&reply))
		passed = resp_refused(resp, &reply, "the connection", REASON_UNREACHABLE, failure);
	resp_reply_free(&reply);
	if (passed)
		return resp;
	resp_close(resp);
	return NULL;
}

/* A database that the server does not have is no empty one. */
static bool
check_database(Resp *resp, const RedisUrl *url, Failure *failure)
{
	char number[16];

	/* Every server has the first, whose keys a snapshot gives without a SELECT. */
	if (url->database <= 0)
		return true;
	snprintf(number, sizeof(number), "%d", url->database);
	return resp_do(resp, REASON_BAD_URL, failure, "SELECT", number, NULL);
}

static Source *
open_by_url(const EngineContext *context, const RedisUrl *url, SourceFacts *facts, Failure *failure)
{
	Resp	   *resp = open_connection(context, url, failure);
	RedisServer server;
	Source	   *source = NULL;
	RedisWay	way;

	if (resp == NULL)
		return NULL;
	if (!check_database(resp, url, failure) || !redis_server_ask(resp, &server, failure))
	{
		resp_close(resp);
		return NULL;
	}
	redis_server_describe(&server, facts->server_version, sizeof(facts->server_version));
	facts->expected_raw_bytes = -1;
	if (server.sentinel)
		failure_set(
			failure, REASON_BAD_URL,
			"Redis at %s is a Sentinel, which holds no data: the URL has to name the server that it watches",
			resp_name(resp));
	else if (server.cluster)
		failure_set(
			failure, REASON_NOT_RESTORABLE,
			"Redis at %s is part of a cluster and holds only its own slots: clusters are not backed up",
			resp_name(resp));
	else if (server.replica && !server.master_link_up)
		failure_set(failure, REASON_UNREACHABLE,
					"Redis at %s is a replica that has lost its master: what it holds may be old",
					resp_name(resp));
	else if (note_marks(&server, facts, failure) && choose(&server, url->database, &way, facts, failure))
	{
		if (way != REDIS_BY_SCAN)
		{
			source = redis_sync_open(context, resp, &server, url->database, way, facts, failure);
			resp = source == NULL && failure->reason == REASON_NONE ? open_connection(context, url, failure)
																	: NULL;
		}
		if (source == NULL && resp != NULL)
		{
			source = redis_scan_open(context, resp, &server, url->database, facts, failure);
			resp = NULL;
		}
	}
	resp_close(resp);
	redis_server_free(&server);
	return source;
}

Source *
redis_backup_open(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	RedisUrl url;
	Source	*source;

	if (!redis_url_parse(context->url->text, context->url->length, &url, failure))
		return NULL;
	source = open_by_url(context, &url, facts, failure);
	redis_url_free(&url);
	return source;
}
