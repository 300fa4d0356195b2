/*
 * http_test.c
 *	  HTTP by libcurl, with a server of a few lines at the other end.
 */
#include "stores/http.h"

#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tap.h"

#define REQUESTS   400
#define LONGEST_MS 700 /* http_perform() looks up once a second */

static int
listen_anywhere(char url[64])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t		   length = sizeof(address);
	int				   listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *) &address, &length) < 0)
	{
		perror("listen");
		exit(1);
	}
	snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(address.sin_port));
	return listener;
}

/* One connection; each request is answered the moment it is there. */
static void
answer_at_once(int listener)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	int				  connection = accept(listener, NULL, NULL);
	char			  request[4096];

	while (recv(connection, request, sizeof(request), 0) > 0)
		if (send(connection, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
			break;
	_exit(0);
}

/* An answer that has come before anybody waits for it must not be waited for. */
static void
answers_are_taken_at_once(void)
{
	Settings	settings;
	Failure		failure = {0};
	char		url[64];
	int			listener = listen_anywhere(url);
	pid_t		server = fork();
	HttpClient *client;
	HttpRequest request = {.method = "GET", .url = url, .max_answer = 100, .connect_timeout = 5};
	int			answered = 0;
	int64_t		longest = 0;

	if (server == 0)
		answer_at_once(listener);
	settings_defaults(&settings);
	client = http_client_open(&settings, NULL, &failure);
	for (int i = 0; client && longest < LONGEST_MS && i < REQUESTS; i++)
	{
		HttpAnswer answer;
		int64_t	   begun = monotonic_nanoseconds();
		int64_t	   took;

		if (http_perform(client, &request, &answer, false, &failure) && answer.status == 200)
			answered++;
		http_answer_free(&answer);
		took = (monotonic_nanoseconds() - begun) / 1000000;
		longest = took > longest ? took : longest;
	}
	http_client_close(client);
	close(listener);
	waitpid(server, NULL, 0);
	settings_free(&settings);
	ok(answered == REQUESTS, "%d requests, %d answers", REQUESTS, answered);
	ok(longest < LONGEST_MS, "none waited although its answer was there (the longest took %lld ms)",
	   (long long) longest);
}

int
main(void)
{
	answers_are_taken_at_once();
	return done_testing();
}
