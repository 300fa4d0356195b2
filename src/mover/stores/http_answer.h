/*
 * http_answer.h
 *	  How far an exchange came, by libcurl's code and, where that says too little, its sentence: for http.c alone.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <curl/curl.h>

#include "stores/http.h"

/* error: what CURLOPT_ERRORBUFFER holds. */
extern HttpOutcome http_outcome(CURL *easy, CURLcode code, const char *error);

#endif
