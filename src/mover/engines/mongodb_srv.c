/*
 * mongodb_srv.c
 *	  Asking the DNS for SRV and TXT records, and reading its answers.
 */
#include "engines/mongodb_srv.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>

/* What a DNS message over TCP holds at most. */
#define ANSWER_MAX 65535

/* priority, weight, port */
#define SRV_FIXED 6

static bool
is_below_domain(const char *host, const char *name)
{
	const char *domain = strchr(name, '.');
	size_t		host_length = strlen(host);

	return domain != NULL && host_length > strlen(domain) &&
		   strcasecmp(host + host_length - strlen(domain), domain) == 0;
}

static bool
read_server(MongodbUrl *servers, const char *name, ns_msg *message, const ns_rr *record, Failure *failure)
{
	char	 host[NS_MAXDNAME];
	UrlPlace place = {0};
	size_t	 length;
	bool	 added;

	if (ns_rr_rdlen(*record) <= SRV_FIXED ||
		ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record) + SRV_FIXED,
						   host, sizeof(host)) < 0)
		return failure_set(failure, REASON_UNREACHABLE, "the DNS gave a broken SRV record for %s", name);
	length = strlen(host);
	if (length > 0 && host[length - 1] == '.')
		host[--length] = '\0';
	if (!is_below_domain(host, name))
		return failure_set(failure, REASON_BAD_URL,
						   "the DNS names a server for %s that is not of its domain: not allowed", name);
	if (!mongodb_place_parse(&place, host, length, failure))
		return false;
	snprintf(place.port, sizeof(place.port), "%u", ns_get16(ns_rr_rdata(*record) + 4));
	added = mongodb_url_add_place(servers, &place, failure);
	free(place.host);
	return added;
}

bool
mongodb_srv_read(MongodbUrl *url, const unsigned char *answer, size_t length, Failure *failure)
{
	const char *name = url->places[0].host;
	MongodbUrl	servers = {0};
	ns_msg		message;
	ns_rr		record;
	bool		good = true;

	if (ns_initparse(answer, (int) length, &message) != 0)
		return failure_set(failure, REASON_UNREACHABLE, "the DNS gave a broken answer for %s", name);
	for (int i = 0; good && i < ns_msg_count(message, ns_s_an); i++)
	{
		if (ns_parserr(&message, ns_s_an, i, &record) != 0)
			good = failure_set(failure, REASON_UNREACHABLE, "the DNS gave a broken answer for %s", name);
		else if (ns_rr_type(record) == ns_t_srv)
			good = read_server(&servers, name, &message, &record, failure);
	}
	if (good && servers.place_count == 0)
		good = failure_set(failure, REASON_UNREACHABLE, "the DNS has no SRV record for MongoDB at %s", name);
	if (!good)
	{
		mongodb_url_free(&servers);
		return false;
	}
	free(url->places[0].host);
	memcpy(url->places, servers.places, sizeof(url->places));
	url->place_count = servers.place_count;
	return true;
}

/* The strings of one record, joined. */
static bool
read_text(MongodbUrl *url, const ns_rr *record, Failure *failure)
{
	const unsigned char *data = ns_rr_rdata(*record);
	size_t				 left = ns_rr_rdlen(*record);
	char				 text[1024];
	size_t				 length = 0;

	while (left > 0)
	{
		size_t size = *data;

		if (size + 1 > left || length + size >= sizeof(text))
			return failure_set(failure, REASON_BAD_URL,
							   "the DNS has a TXT record that is no MongoDB options");
		memcpy(text + length, data + 1, size);
		length += size;
		data += size + 1;
		left -= size + 1;
	}
	text[length] = '\0';
	return mongodb_url_add_default(url, text, failure);
}

bool
mongodb_srv_read_txt(MongodbUrl *url, const unsigned char *answer, size_t length, Failure *failure)
{
	ns_msg message;
	ns_rr  record;
	int	   found = 0;

	if (ns_initparse(answer, (int) length, &message) != 0)
		return failure_set(failure, REASON_UNREACHABLE, "the DNS gave a broken answer for a MongoDB URL");
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++)
	{
		if (ns_parserr(&message, ns_s_an, i, &record) != 0)
			return failure_set(failure, REASON_UNREACHABLE, "the DNS gave a broken answer for a MongoDB URL");
		if (ns_rr_type(record) != ns_t_txt)
			continue;
		if (++found > 1)
			return failure_set(failure, REASON_BAD_URL, "the DNS has several TXT records for a MongoDB URL");
		if (!read_text(url, &record, failure))
			return false;
	}
	return true;
}

/* -1: no answer; why is in h_errno. */
static int
ask(const char *name, int type, unsigned char *answer)
{
	struct __res_state state = {0};
	int				   length;

	if (res_ninit(&state) != 0)
		return -1;
	length = res_nquery(&state, name, ns_c_in, type, answer, ANSWER_MAX);
	res_nclose(&state);
	return length > ANSWER_MAX ? ANSWER_MAX : length;
}

static bool
no_answer(const char *name, Failure *failure)
{
	return failure_set(failure, REASON_UNREACHABLE, "the DNS has no answer for %s: %s", name,
					   hstrerror(h_errno));
}

bool
mongodb_srv_resolve(MongodbUrl *url, Failure *failure)
{
	unsigned char *answer = malloc(ANSWER_MAX);
	char		   name[NS_MAXDNAME];
	int			   length;
	bool		   good;

	if (answer == NULL)
		return failure_no_memory(failure);
	snprintf(name, sizeof(name), "%s", url->places[0].host);
	length = ask(name, ns_t_txt, answer);
	if (length >= 0)
		good = mongodb_srv_read_txt(url, answer, (size_t) length, failure);
	else
		good = h_errno == NO_DATA || h_errno == HOST_NOT_FOUND || no_answer(name, failure);
	if (good)
	{
		snprintf(name, sizeof(name), "_%s._tcp.%s", url->srv_service != NULL ? url->srv_service : "mongodb",
				 url->places[0].host);
		length = ask(name, ns_t_srv, answer);
		good =
			length >= 0 ? mongodb_srv_read(url, answer, (size_t) length, failure) : no_answer(name, failure);
	}
	free(answer);
	return good;
}
