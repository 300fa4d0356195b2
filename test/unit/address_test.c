/* address.c: every spelling of this host is this host. */
#include "address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "tap.h"

static const char *const local_spellings[] = {
	"127.0.0.1",
	"127.1",
	"127.255.255.254",
	"2130706433",
	"0x7f000001",
	"0x7f.1",
	"0177.0.0.1",
	"017700000001",
	"127.0.1",
	"0",
	"0.0.0.0",
	"0.1.2.3",
	"169.254.169.254",
	"0xa9fea9fe",
	"169.254.1.1",
	"224.0.0.1",
	"239.1.2.3",
	"255.255.255.255",
	"4294967295",
	"240.0.0.1",
	"::1",
	"::",
	"0:0:0:0:0:0:0:1",
	"0000::0001",
	"::ffff:127.0.0.1",
	"::ffff:7f00:1",
	"::ffff:0.0.0.0",
	"::ffff:169.254.169.254",
	"::127.0.0.1",
	"::ffff:0:127.0.0.1",
	"64:ff9b::7f00:1",
	"64:ff9b::127.0.0.1",
	"64:ff9b:1::7f00:1",
	"2002:7f00:1::",
	"2002:7f00:1::1",
	"2002:a9fe:a9fe::",
	"fe80::1%lo",
	"fe80::1",
	"febf::1",
	"ff02::1",
	"ff0e::1",
};

static const char *const foreign_spellings[] = {
	"8.8.8.8",		  "134744072",		  "10.0.0.254",		 "192.0.2.7",		"172.16.9.9",
	"100.64.0.9",	  "126.255.255.255",  "128.0.0.1",		 "1.0.0.0",			"169.253.255.255",
	"169.255.0.0",	  "223.255.255.255",  "2001:db8::1",	 "fd00::1",			"fec0::1",
	"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2606:4700::1111",
};

static void
test_spellings(void)
{
	for (size_t i = 0; i < sizeof(local_spellings) / sizeof(local_spellings[0]); i++)
	{
		const char *host = local_spellings[i];
		Failure		failure = {0};
		Address	   *addresses;
		size_t		count;
		bool		good = address_resolve(host, "5432", false, &addresses, &count, &failure);

		ok(!good && failure.reason == REASON_BAD_URL && addresses == NULL && count == 0, "%s is refused (%s)",
		   host, failure.detail);
		failure = (Failure){0};
		ok(address_resolve(host, "5432", true, &addresses, &count, &failure) && count > 0,
		   "%s may be allowed (%s)", host, failure.detail);
		free(addresses);
	}
	for (size_t i = 0; i < sizeof(foreign_spellings) / sizeof(foreign_spellings[0]); i++)
	{
		Failure	 failure = {0};
		Address *addresses;
		size_t	 count;

		ok(address_resolve(foreign_spellings[i], "5432", false, &addresses, &count, &failure) && count == 1,
		   "%s is another host (%s)", foreign_spellings[i], failure.detail);
		free(addresses);
	}
}

static void
test_own_interfaces(void)
{
	struct ifaddrs *list;
	int				tried = 0;

	if (getifaddrs(&list) < 0)
		abort();
	for (struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next)
	{
		char	 text[NI_MAXHOST];
		char	 mapped[NI_MAXHOST + 16];
		Failure	 failure = {0};
		Address *addresses;
		size_t	 count;

		if (entry->ifa_addr == NULL || entry->ifa_addr->sa_family != AF_INET)
			continue;
		getnameinfo(entry->ifa_addr, sizeof(struct sockaddr_in), text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		ok(!address_resolve(text, "5432", false, &addresses, &count, &failure), "an address of our own (%s)",
		   text);
		snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
		ok(!address_resolve(mapped, "5432", false, &addresses, &count, &failure), "and inside IPv6 (%s)",
		   mapped);
		tried++;
	}
	freeifaddrs(list);
	ok(tried > 0, "this host has addresses");
}

static void
test_answers(void)
{
	Failure				 failure = {0};
	Address				*addresses;
	size_t				 count;
	struct sockaddr_in	*v4;
	struct sockaddr_in6 *v6;

	ok(address_resolve("2130706433", "6543", true, &addresses, &count, &failure) && count == 1,
	   "an odd spelling");
	is_string(addresses[0].text, "127.0.0.1", "as plain text, for hostaddr");
	v4 = (struct sockaddr_in *) &addresses[0].sockaddr;
	ok(v4->sin_family == AF_INET && ntohs(v4->sin_port) == 6543 && addresses[0].length == sizeof(*v4),
	   "with its port");
	free(addresses);
	ok(address_resolve("::1", "1", true, &addresses, &count, &failure), "an IPv6 address");
	v6 = (struct sockaddr_in6 *) &addresses[0].sockaddr;
	ok(v6->sin6_family == AF_INET6 && ntohs(v6->sin6_port) == 1, "with its port");
	is_string(addresses[0].text, "::1", "without brackets");
	free(addresses);
	ok(address_resolve("192.0.2.1", NULL, false, &addresses, &count, &failure) && count == 1,
	   "no port at all");
	free(addresses);
	ok(!address_resolve("localhost", "5432", false, &addresses, &count, &failure) &&
		   failure.reason == REASON_BAD_URL,
	   "a name is judged by what it resolves to");
}

static void
test_refusals(void)
{
	static const char *const ports[] = {"0",  "65536", "-1",		 "+1", " 1",
										"1 ", "0x10",  "postgresql", "",   "99999999999999999999"};
	Failure					 failure = {0};
	Address					*addresses;
	size_t					 count;
	struct sockaddr			 unix_socket = {.sa_family = AF_UNIX};

	ok(!address_resolve("name.invalid", "5432", false, &addresses, &count, &failure) &&
		   failure.reason == REASON_UNREACHABLE && strstr(failure.detail, "name.invalid") != NULL &&
		   addresses == NULL,
	   "a name that is not there: unreachable (%s)", failure.detail);
	failure = (Failure){0};
	ok(!address_resolve("", "5432", true, &addresses, &count, &failure) && failure.reason == REASON_BAD_URL,
	   "an empty host, which would be this one");
	failure = (Failure){0};
	ok(!address_resolve(NULL, "5432", true, &addresses, &count, &failure) && failure.reason == REASON_BAD_URL,
	   "no host");
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
	{
		failure = (Failure){0};
		ok(!address_resolve("192.0.2.1", ports[i], true, &addresses, &count, &failure) &&
			   failure.reason == REASON_BAD_URL,
		   "'%s' is no port", ports[i]);
	}
	ok(address_is_local(&unix_socket), "a Unix socket is ours");
}

int
main(void)
{
	test_spellings();
	test_own_interfaces();
	test_answers();
	test_refusals();
	return done_testing();
}
