/*
 * postgres_url_test.c
 *	  What a customer's URL may say, and that no refusal repeats a piece of a password.
 */
#include "tap.h"

#include <stdlib.h>

#include "engines/postgres_url.h"
#include "engines/postgres_verdict.h"

static const struct
{
	const char *url;
	const char *says; /* a piece of the sentence */
} refused[] = {
	{"", "does not begin with"},
	{"mysql://u:p@h/d", "does not begin with"},
	{"host=h dbname=d", "does not begin with"},
	{"POSTGRES://u@h/d", "does not begin with"},
	{"postgres:/u@h/d", "does not begin with"},
	{"postgresql://", "names no role"},
	{"postgresql:///d", "names no role"},
	{"postgresql://u@/d", "names no host"},
	{"postgresql://u@:5432/d", "names no host"},
	{"postgresql://u@h,/d", "names no host"},
	{"postgresql://u@,h/d", "names no host"},
	{"postgresql://u@%2Fvar%2Frun/d", "Unix socket"},
	{"postgresql://u@%2fvar%2frun/d", "Unix socket"},
	{"postgresql://u@h,%2Ftmp/d", "Unix socket"},
	{"postgresql://u@%40abstract/d", "Unix socket"},
	{"postgresql://u@h/d?host=/tmp", "Unix socket"},
	{"postgresql://u@h/d?host=h2,/tmp", "Unix socket"},
	{"postgresql://u@h/d?hostaddr=127.0.0.1", "sets \"hostaddr\""},
	{"postgresql://u@h/d?service=admin", "sets \"service\""},
	{"postgresql://u@h/d?passfile=/etc/shadow", "sets \"passfile\""},
	{"postgresql://u@h/d?sslkey=/etc/ssl/private/key", "sets \"sslkey\""},
	{"postgresql://u@h/d?sslcert=/x", "sets \"sslcert\""},
	{"postgresql://u@h/d?sslrootcert=/x", "sets \"sslrootcert\""},
	{"postgresql://u@h/d?sslcrl=/x", "sets \"sslcrl\""},
	{"postgresql://u@h/d?options=-c%20log_statement=all", "sets \"options\""},
	{"postgresql://u@h/d?%6fptions=x", "sets \"options\""},
	{"postgresql://u@h/d?krbsrvname=x", "sets \"krbsrvname\""},
	{"postgresql://u@h/d?replication=true", "sets \"replication\""},
	{"postgresql://u@h/d?pgbouncer=true", "parameter \"pgbouncer\""},
	{"postgresql://u@h/d?sslmode=require&schema=public", "parameter \"schema\""},
	{"postgresql://u:p@h/d\n", "line break"},
	{"postgresql://u:p@h/d\t", "line break"},
	{"postgresql://u:p@h /d", "space"},
	{"postgresql://u:p%@h/d", "hexadecimal"},
	{"postgresql://u:p%zz@h/d", "hexadecimal"},
	{"postgresql://u:p%00@h/d", "%00"},
	{"postgresql://u:p@h/d%0Ax", "\"dbname\" holds a line break"},
	{"postgresql://u%0a:p@h/d", "\"user\" holds a line break"},
	{"postgresql://u:p%0Aq@h/d", "password holds a line break"},
	{"postgresql://u:p%0Dq@h/d", "password holds a line break"},
	{"postgresql://u@h:0/d", "port"},
	{"postgresql://u@h:65536/d", "port"},
	{"postgresql://u@h:99999999999999999999/d", "port"},
	{"postgresql://u@h:5432x/d", "port"},
	{"postgresql://u@h:-1/d", "port"},
	{"postgresql://u@h:1,h:2,h/d?port=1,2", "fewer ports"},
	{"postgresql://u@h/d?port=1,2", "more ports"},
	{"postgresql://u@[::1/d", "form"},
	{"postgresql://u:p@ss@h/d", "host holds a character"},
	{"postgresql://u@h,h%5C2/d", "host holds a character"},
};

static bool
parse(PostgresUrl *url, const char *text, Failure *failure)
{
	Secret secret = {.text = (char *) text, .length = strlen(text)};

	memset(failure, 0, sizeof(*failure));
	return postgres_url_parse(url, &secret, failure);
}

static void
test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		PostgresUrl url;
		Failure		failure;
		bool		parsed = parse(&url, refused[i].url, &failure);

		ok(!parsed && failure.reason == REASON_BAD_URL && strstr(failure.detail, refused[i].says),
		   "refused, naming '%s': %zu", refused[i].says, i);
		if (parsed || !strstr(failure.detail, refused[i].says))
			printf("# %s: %s\n", refused[i].url, parsed ? "accepted" : failure.detail);
		if (parsed)
			postgres_url_free(&url);
	}
}

/* Each hides the password "hunter2" where somebody might write it. */
static void
test_no_password_in_messages(void)
{
	static const char *const urls[] = {
		"postgresql://u:hunter2@h:70000/d",
		"postgresql://u:hunter2@h/d?options=x",
		"postgresql://u:hunter2/x@h/d",
		"postgresql://u:hunter2?x=y@h/d",
		"postgresql://u:a?hunter2=y@h/d",
		"postgresql://u:hunter2%@h/d",
		"postgresql://u@h/d?password=hunter2&x=",
		"postgresql://u:x#hunter2@h/d",
		"postgresql://u:hunter2@[::1/d",
		"postgresql://u:a@hunter2@h:x/d",
		"postgresql://u:a@hunter2@h/d",
		"postgresql://u:a@x,hunter2@h/d",
		"postgresql://u:1/hunter2",
		"postgresql://u:p@h/d?hunter2",
	};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
		PostgresUrl url;
		Failure		failure;
		bool		parsed = parse(&url, urls[i], &failure);

		ok(strstr(failure.detail, "hunter2") == NULL, "no piece of the password: %s",
		   parsed ? "(accepted)" : failure.detail);
		if (parsed)
			postgres_url_free(&url);
		secret_forget_all();
	}
}

static void
test_accepted(void)
{
	PostgresUrl url;
	Failure		failure;
	char		text[256];

	ok(parse(&url, "postgres://app@db.example.com", &failure), "the shortest");
	is_string(url.database, "app", "libpq's default database, made explicit");
	is_string(url.places[0].port, "5432", "the default port");
	ok(url.password.text == NULL, "no password");
	postgres_url_free(&url);

	ok(parse(&url,
			 "postgresql://a%40b:p%3A%5C%2F%40%01%FFx@[2001:db8::1]:6543/d%20b?sslmode=verify-full&"
			 "application_name=shop&connect_timeout=5&channel_binding=require",
			 &failure),
	   "everything at once: %s", failure.detail);
	is_string(url.user, "a@b", "user decoded");
	is_string(url.password.text, "p:\\/@\001\377x", "password decoded, any bytes");
	is_string(url.database, "d b", "database decoded");
	is_string(url.places[0].host, "2001:db8::1", "a literal address");
	is_string(url.places[0].port, "6543", "port");
	is_string(postgres_url_option(&url, "sslmode"), "verify-full", "sslmode");
	strcpy(text, "it was p:\\/@\001\377x or p%3A%5C%2F%40%01%FFx");
	secret_scrub(text);
	is_string(text, "it was *** or ***", "both spellings of the password are scrubbed");
	postgres_url_free(&url);

	ok(parse(&url, "postgresql://u@one,two:6000,three/d?port=7000", &failure), "several hosts, one port");
	is_int(url.place_count, 3, "three places");
	is_string(url.places[1].port, "7000", "one port serves all");
	postgres_url_free(&url);

	ok(parse(&url, "postgresql://u@one:1,two,three:3/d", &failure), "ports of their own");
	is_string(url.places[1].port, "5432", "a port left out is the default");
	is_string(url.places[2].port, "3", "the third");
	postgres_url_free(&url);

	ok(parse(&url, "postgresql://u@h/d?ssl=true", &failure), "JDBC's ssl=true");
	is_string(postgres_url_option(&url, "sslmode"), "require", "is sslmode=require");
	postgres_url_free(&url);
	ok(parse(&url, "postgresql://u@h/host=elsewhere", &failure), "a database that looks like a conninfo");
	is_string(url.database, "host=elsewhere", "is a name and nothing else");
	postgres_url_free(&url);
}

static void
judge(const char *said, int status, FailureReason reason, const char *expected)
{
	Child psql = {.pid = 1, .name = "psql", .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .reaped = true};
	Failure failure = {0};

	psql.status = status;
	psql.stderr_length = strlen(said);
	memcpy(psql.stderr_tail, said, psql.stderr_length + 1);
	postgres_judge_psql(&psql, false, &failure);
	ok(failure.reason == reason && strstr(failure.detail, expected), "%s: %s", failure_reason_name(reason),
	   failure.detail);
}

static void
test_verdicts(void)
{
	judge("ERROR:  23505: duplicate key value\nDETAIL:  Key (email)=(a@b.c) exists.\n", 3 << 8,
		  REASON_RESTORE, "duplicate key value (23505)");
	judge("WARNING:  01000: something\nFEHLER:  55P03: Sperre\nLOCATION:  x\n", 3 << 8, REASON_TARGET_BUSY,
		  "55P03");
	judge("ERROR:  40P01: deadlock detected\n", 3 << 8, REASON_TARGET_BUSY, "40P01");
	judge("FATAL:  57P01: terminating connection\n", 2 << 8, REASON_UNREACHABLE, "57P01");
	judge("server closed the connection unexpectedly\n", 2 << 8, REASON_UNREACHABLE, "server closed");
	judge("ERROR:  53100: could not extend file\nHINT:  free space\n", 3 << 8, REASON_RESTORE,
		  "disk is full");
	judge("", 9, REASON_RESTORE, "killed by signal 9");
}

int
main(void)
{
	test_refusals();
	test_no_password_in_messages();
	test_accepted();
	test_verdicts();
	return done_testing();
}
