/*
 * redis_url_test.c
 *	  What a Redis URL may be, and what INFO says.
 */
#include <stdlib.h>

#include "engines/redis_plan.h"
#include "engines/redis_server.h"
#include "engines/redis_url.h"
#include "tap.h"

static void
check_good(const char *text, bool tls, const char *host, const char *port, const char *user,
		   const char *password, size_t password_length, int database)
{
	RedisUrl url;
	Failure	 failure = {0};
	bool	 parsed = redis_url_parse(text, strlen(text), &url, &failure);

	if (!ok(parsed, "%s", text))
	{
		printf("# %s\n", failure.detail);
		return;
	}
	ok(url.tls == tls && url.database == database, "TLS and database");
	is_string(url.host, host, "host");
	is_string(url.port, port, "port");
	is_string(url.user, user, "user");
	ok(password == NULL ? url.password.text == NULL
						: url.password.length == password_length &&
							  memcmp(url.password.text, password, password_length) == 0,
	   "password");
	redis_url_free(&url);
}

static void
check_bad(const char *text, const char *expected)
{
	RedisUrl url;
	Failure	 failure = {0};

	if (!ok(!redis_url_parse(text, strlen(text), &url, &failure) && failure.reason == REASON_BAD_URL &&
				strstr(failure.detail, expected) != NULL,
			"refused: %s", text))
		printf("# %s\n", failure.detail);
	ok(url.host == NULL && url.user == NULL && url.password.text == NULL, "and nothing is left of it");
	ok(strstr(failure.detail, "hush") == NULL, "nor said of its password");
}

static void
check_urls(void)
{
	check_good("redis://h", false, "h", "6379", NULL, NULL, 0, REDIS_ALL_DATABASES);
	check_good("rediss://h.example:6380/15", true, "h.example", "6380", NULL, NULL, 0, 15);
	check_good("VALKEYS://h/", true, "h", "6379", NULL, NULL, 0, REDIS_ALL_DATABASES);
	check_good("redis://:pa55@10.0.0.1:7000/0", false, "10.0.0.1", "7000", NULL, "pa55", 4, 0);
	check_good("redis://us%65r:p%00%ff%40@h", false, "h", "6379", "user", "p\0\xff@", 4, REDIS_ALL_DATABASES);
	check_good("redis://default:a@b/c:d@h:1/2", false, "h", "1", "default", "a@b/c:d", 7, 2);
	check_good("redis://:p@[2001:db8::1]:6379/3", false, "2001:db8::1", "6379", NULL, "p", 1, 3);
	check_good("redis://[::ffff:1.2.3.4]", false, "::ffff:1.2.3.4", "6379", NULL, NULL, 0,
			   REDIS_ALL_DATABASES);

	check_bad("", "does not begin");
	check_bad("http://h", "does not begin");
	check_bad("redis:/h", "does not begin");
	check_bad("redis://", "names no host");
	check_bad("redis:///tmp/socket", "names no host");
	check_bad("redis://:hush@/0", "names no host");
	check_bad("redis://:hush@h:", "port");
	check_bad("redis://:hush@h:0", "port");
	check_bad("redis://:hush@h:65536", "port");
	check_bad("redis://:hush@h:6379x", "port");
	check_bad("redis://:hush@[::1", "']'");
	check_bad("redis://:hush@[::1]x", "']'");
	check_bad("redis://:hush@h/-1", "database");
	check_bad("redis://:hush@h/0/1", "database");
	check_bad("redis://:hush@h/9999999999", "database");
	check_bad("redis://:hush@h/0?timeout=1", "parameters");
	check_bad("redis://:hush@h/0#x", "parameters");
	check_bad("redis://hush@h", "a user without a password");
	check_bad("redis://user:@h", "empty password");
	check_bad("redis://:hush%4@h", "two hex digits");
	check_bad("redis://us%zz:hush@h", "does not decode");
	check_bad("redis://us%00er:hush@h", "does not decode");
	check_bad("redis://:hush@h;ls", "no host name");
	check_bad("redis://:hu sh@h", "control character");
	check_bad("redis://:hush@h\n", "control character");
}

static void
check_info(void)
{
	static const char info[] = "# Server\r\nredis_version:7.0.15\r\nused_memory:123456789012\r\n"
							   "used_memory_human:1G\r\nrole:master\r\n";
	static const char clients[] = "id=3 addr=127.0.0.1:5 name= age=1 db=0 cmd=get\n"
								  "id=4 addr=127.0.0.1:6 name=custbackup-restore:x age=1 db=15 cmd=client\n"
								  "id=5 addr=127.0.0.1:7 name=app age=1 db=14 cmd=set\n";
	char			  value[32];

	ok(redis_info_text(info, "redis_version", value, sizeof(value)), "a field of INFO");
	is_string(value, "7.0.15", "without its line's end");
	ok(redis_info_number(info, "used_memory", -1) == 123456789012,
	   "a number; a longer name is another field");
	is_int(redis_info_number(info, "maxmemory", -1), -1, "a field that is not there");
	ok(!redis_info_text(info, "version", value, sizeof(value)), "the end of a name is no name");
	ok(redis_database_is_in_use(clients, 14), "a client has selected database 14");
	ok(redis_database_is_in_use(clients, 0), "and 0");
	ok(!redis_database_is_in_use(clients, 15), "we are nobody");
	ok(!redis_database_is_in_use(clients, 1), "1 is not 14, nor 0");
	ok(!redis_database_is_in_use("", 0), "no clients");
}

int
main(void)
{
	check_urls();
	check_info();
	return done_testing();
}
