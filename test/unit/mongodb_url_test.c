/*
 * mongodb_url_test.c
 *	  What a customer's MongoDB URL may say, what is made of it for the tools, and the
 *	  DNS answers behind mongodb+srv://.
 */
#include <stdlib.h>

#include <arpa/nameser.h>

#include "engines/bytes.h"
#include "engines/mongodb_srv.h"
#include "engines/mongodb_url.h"
#include "tap.h"

static Failure	failure;
static Settings settings;

static bool
parse(MongodbUrl *url, const char *text)
{
	Secret secret = {0};
	bool   good;

	failure = (Failure){0};
	secret_copy(&secret, text, strlen(text), &failure);
	good = mongodb_url_parse(url, &secret, &failure);
	secret_free(&secret);
	return good;
}

/* The same in every URL. */
#define FIXED_OPTIONS "directConnection=true&connectTimeoutMS=10000&serverSelectionTimeoutMS=10000"

static void
cut_out(char *text, const char *part)
{
	char *found = text != NULL ? strstr(text, part) : NULL;

	if (found != NULL)
		memmove(found, found + strlen(part), strlen(found + strlen(part)) + 1);
}

/* What the tools would get for a URL and a server. */
static void
writes(const char *text, const char *expected, const char *what)
{
	MongodbUrl url;
	Secret	   written = {0};

	if (parse(&url, text))
	{
		mongodb_url_write(&url, &settings, "10.0.0.9", "4711", true, &written, &failure);
		mongodb_url_free(&url);
	}
	else
		printf("# %s\n", failure.detail);
	cut_out(written.text, FIXED_OPTIONS);
	is_string(written.text, expected, what);
	secret_free(&written);
}

static void
refuses(const char *text, const char *with)
{
	MongodbUrl url;

	ok(!parse(&url, text) && failure.reason == REASON_BAD_URL && strstr(failure.detail, with) != NULL &&
		   strstr(failure.detail, "geheim") == NULL,
	   "refused (%s): %s", with, text);
	if (failure.reason == REASON_NONE)
		mongodb_url_free(&url);
	else
		printf("# %s\n", failure.detail);
}

static void
test_writing(void)
{
	writes("mongodb://h", "mongodb://10.0.0.9:4711/?&tls=false", "no user, no database");
	writes("mongodb://u:p@h/shop", "mongodb://u:p@10.0.0.9:4711/shop?&authSource=shop&tls=false",
		   "the database is where the user is looked for");
	writes("mongodb://u:p@h/shop?authSource=admin&authMechanism=SCRAM-SHA-256",
		   "mongodb://u:p@10.0.0.9:4711/shop?&authSource=admin&authMechanism=SCRAM-SHA-256&tls=false",
		   "unless the URL says otherwise");
	writes("mongodb://u:p@h/?AUTHSOURCE=x", "mongodb://u:p@10.0.0.9:4711/?&authSource=x&tls=false",
		   "options are heard in any case");
	writes("mongodb://%C3%BC%40:p%40%3A%2F%25%22'!@h/a%2Db",
		   "mongodb://%C3%BC%40:p%40%3A%2F%25%22%27%21@10.0.0.9:4711/a-b?&authSource=a-b&tls=false",
		   "every character is encoded anew");
	writes("mongodb://u:pass@word@h/d", "mongodb://u:pass%40word@10.0.0.9:4711/d?&authSource=d&tls=false",
		   "a password that was pasted as it is");
	writes("mongodb://h/d?retryWrites=true&w=majority&maxPoolSize=5&appName=x&loadBalanced=false&"
		   "serverMonitoringMode=auto",
		   "mongodb://10.0.0.9:4711/d?&tls=false", "what is the application's own is passed over");
	writes("mongodb://u:p@h/d?tls=true&authSource=x&ssl=true&authSource=x",
		   "mongodb://u:p@10.0.0.9:4711/d?&authSource=x&tls=true", "the same said twice");
	writes("mongodb://h/d?tls=true&readPreference=secondary",
		   "mongodb://10.0.0.9:4711/d?&readPreference=secondaryPreferred&tls=true", "TLS and a secondary");
	writes("mongodb://h/d?ssl=true&tlsAllowInvalidHostnames=true",
		   "mongodb://10.0.0.9:4711/d?&tls=true&tlsInsecure=true", "TLS without verification");
	settings.ca_file = "/etc/ca file.pem";
	writes("mongodb://h/d?tls=true", "mongodb://10.0.0.9:4711/d?&tls=true&tlsCAFile=%2Fetc%2Fca%20file.pem",
		   "the operator's authorities");
	settings.ca_file = NULL;
}

static void
test_hosts(void)
{
	MongodbUrl url;

	ok(parse(&url, "mongodb://a,b:1,[2001:db8::1]:65535,[::2],a:27017/d") && url.place_count == 4,
	   "several hosts, each once");
	is_string(url.places[0].port, "27017", "the usual port");
	is_string(url.places[1].port, "1", "a port");
	is_string(url.places[2].host, "2001:db8::1", "an address in brackets");
	is_string(url.places[3].port, "27017", "without a port");
	mongodb_url_free(&url);
	ok(parse(&url, "mongodb+srv://u:p@cluster0.example.net/d") && url.srv && url.tls, "+srv means TLS");
	mongodb_url_free(&url);
	ok(parse(&url, "mongodb+srv://u:p@cluster0.example.net/d?tls=false") && !url.tls,
	   "unless it says otherwise");
	mongodb_url_free(&url);
}

static void
test_refusals(void)
{
	refuses("http://h", "does not begin");
	refuses("mongodb://", "names no host");
	refuses("mongodb://h,,i", "names no host");
	refuses("mongodb://h:0/d", "port");
	refuses("mongodb://h:65536/d", "port");
	refuses("mongodb://h:1x/d", "port");
	refuses("mongodb://[::1/d", "']'");
	refuses("mongodb://%2Ftmp%2Fmongodb-27017.sock/d", "Unix socket");
	refuses("mongodb://h_!/d", "no host name has");
	refuses("mongodb://geheim@h/d", "without a password");
	refuses("mongodb://:geheim@h/d", "without a user");
	refuses("mongodb://u:geheim%4@h/d", "'%'");
	refuses("mongodb://u:geheim%00@h/d", "zero byte");
	refuses("mongodb://u:pw?geheim@h/d", "%3F");
	refuses("mongodb://u:pw@h/d?geheim=1", "not known here");
	refuses("mongodb://u:pw@h/d?authSource=", "authSource is empty");
	refuses("mongodb://u:pw@h/d?replicaSet=&w=1", "replicaSet is empty");
	refuses("mongodb://u:pw@h/d?loadBalanced=true", "loadBalanced is not allowed");
	refuses("mongodb://u:pw@h/d?loadBalanced=1", "loadBalanced is neither");
	refuses("mongodb://u:pw@h/d?geheim", "without a value");
	refuses("mongodb://u:pw@h/a.b", "database");
	refuses("mongodb://u:pw@h/a%24b", "database");
	refuses("mongodb://u:pw@h/config", "MongoDB's own");
	refuses("mongodb://u:pw@h/l%6Fcal", "MongoDB's own");
	refuses("mongodb://u:pw@h/a%2Fb", "database");
	refuses("mongodb://u:pw@h/d?tlsCAFile=/x", "tlsCAFile");
	refuses("mongodb://u:pw@h/d?tlscertificatekeyfile=/x", "tlsCertificateKeyFile");
	refuses("mongodb://u:pw@h/d?sslClientCertificateKeyFile=/x", "sslClientCertificateKeyFile");
	refuses("mongodb://u:pw@h/d?authMechanism=MONGODB-AWS", "authMechanism");
	refuses("mongodb://u:pw@h/d?authMechanism=MONGODB-X509", "authMechanism");
	refuses("mongodb://u:pw@h/d?authMechanism=GSSAPI", "authMechanism");
	refuses("mongodb://u:pw@h/d?authMechanism=PLAIN", "PLAIN");
	refuses("mongodb://u:pw@h/d?tls=true&ssl=false", "ssl twice");
	refuses("mongodb+srv://u:pw@a.b.c/d?tls=false&TLS=true", "tls twice");
	refuses("mongodb://u:pw@h/d?authSource=a&authsource=geheim", "authSource twice");
	refuses("mongodb://u:pw@h/d?readPreference=nearest&readPreference=primary", "readPreference twice");
	refuses("mongodb://u:pw@h/d?directConnection=true&directConnection=false", "directConnection twice");
	refuses("mongodb://u:pw@h/d?authMechanismProperties=CANONICALIZE_HOST_NAME:true",
			"authMechanismProperties");
	refuses("mongodb://u:pw@h/d?proxyHost=127.0.0.1", "proxyHost");
	refuses("mongodb://u:pw@h/d?tls=yes", "neither true nor false");
	refuses("mongodb://u:pw@h/d?readPreference=best", "readPreference");
	refuses("mongodb://u:pw@a,b/d?directConnection=true", "directConnection");
	refuses("mongodb://u:pw@h/d d", "space");
	refuses("mongodb://u:pw@h/d\nx", "control character");
	refuses("mongodb+srv://u:pw@a.b.c:1/d", "+srv");
	refuses("mongodb+srv://u:pw@a.b.c,d.b.c/d", "+srv");
	refuses("mongodb+srv://u:pw@b.c/d", "three parts");
}

/* ---- the DNS ---- */

static void
put16(Bytes *to, unsigned value)
{
	unsigned char bytes[2] = {(unsigned char) (value >> 8), (unsigned char) value};

	bytes_append(to, bytes, 2, &failure);
}

static void
put_name(Bytes *to, const char *name)
{
	while (*name != '\0')
	{
		unsigned char length = (unsigned char) strcspn(name, ".");

		bytes_append(to, &length, 1, &failure);
		bytes_append(to, name, length, &failure);
		name += length + (name[length] == '.');
	}
	bytes_append(to, "", 1, &failure);
}

static void
begin_answer(Bytes *to, unsigned count)
{
	to->length = 0;
	put16(to, 1);
	put16(to, 0x8180);
	put16(to, 0);
	put16(to, count);
	put16(to, 0);
	put16(to, 0);
}

static void
begin_record(Bytes *to, int type, unsigned length)
{
	put_name(to, "x.example.net");
	put16(to, (unsigned) type);
	put16(to, 1);
	put16(to, 0);
	put16(to, 60);
	put16(to, length);
}

static void
put_srv(Bytes *to, const char *host, unsigned port)
{
	begin_record(to, ns_t_srv, (unsigned) (6 + strlen(host) + 2));
	put16(to, 0);
	put16(to, 0);
	put16(to, port);
	put_name(to, host);
}

static void
put_txt(Bytes *to, const char *text)
{
	unsigned char length = (unsigned char) strlen(text);

	begin_record(to, ns_t_txt, 1u + length);
	bytes_append(to, &length, 1, &failure);
	bytes_append(to, text, length, &failure);
}

static void
test_srv(void)
{
	Bytes	   answer = {0};
	MongodbUrl url;

	parse(&url, "mongodb+srv://u:p@cluster0.example.net/d");
	begin_answer(&answer, 2);
	put_srv(&answer, "shard-0.example.net", 27018);
	put_srv(&answer, "shard-1.sub.example.net", 27019);
	for (size_t cut = 0; cut < answer.length; cut++)
		if (mongodb_srv_read(&url, answer.data, cut, &failure))
			ok(false, "an answer cut at %zu is refused", cut);
	failure = (Failure){0};
	ok(mongodb_srv_read(&url, answer.data, answer.length, &failure) && url.place_count == 2, "two servers");
	is_string(url.places[0].host, "shard-0.example.net", "the first one's name");
	is_string(url.places[1].port, "27019", "the second one's port");
	mongodb_url_free(&url);

	parse(&url, "mongodb+srv://u:p@cluster0.example.net/d?replicaSet=mine");
	begin_answer(&answer, 1);
	put_srv(&answer, "localhost.example.org", 27017);
	ok(!mongodb_srv_read(&url, answer.data, answer.length, &failure) && failure.reason == REASON_BAD_URL,
	   "a server of another domain is refused");
	failure = (Failure){0};
	begin_answer(&answer, 0);
	ok(!mongodb_srv_read(&url, answer.data, answer.length, &failure) && failure.reason == REASON_UNREACHABLE,
	   "no server is no answer");
	failure = (Failure){0};
	begin_answer(&answer, 1);
	put_txt(&answer, "authSource=there&replicaSet=theirs");
	ok(mongodb_srv_read_txt(&url, answer.data, answer.length, &failure), "a TXT record with options");
	is_string(url.auth_source, "there", "says where the user is looked for");
	is_string(url.replica_set, "mine", "but the URL's own options win");
	begin_answer(&answer, 1);
	put_txt(&answer, "authSource=there&tls=false");
	ok(!mongodb_srv_read_txt(&url, answer.data, answer.length, &failure) && failure.reason == REASON_BAD_URL,
	   "a TXT record that switches TLS off is refused");
	mongodb_url_free(&url);
	bytes_free(&answer);
}

int
main(void)
{
	settings_defaults(&settings);
	settings.ca_file = NULL;
	test_writing();
	test_hosts();
	test_refusals();
	test_srv();
	return done_testing();
}
