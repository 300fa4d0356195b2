/*
 * s3_finish.h
 *	  The request that makes an object be there, and the truth about it.
 *
 * A PUT or a CompleteMultipartUpload may succeed and its answer be lost, be told
 * 'no' by a repetition of itself, or say 200 and hold an error.  So whatever it is
 * answered with, HEAD decides: an object of the length that was sent, with this
 * attempt's id, and with the ETag that the answer gave, if it gave one.  Also before a
 * request is sent again whose answer nobody heard: in a bucket that keeps versions a
 * second one would lie over the first, where the store does not mind If-None-Match.
 */
#ifndef S3_FINISH_H
#define S3_FINISH_H

#include "stores/s3_client.h"
#include "stores/store.h"

typedef struct S3Sent
{
	S3Client   *client;
	const char *key;
	const char *attempt_id;
	int64_t		bytes;
	int64_t		retain_until; /* the lock that was asked for; 0: none */
	bool		is_doubtful;  /* s3_finish() says so: a try may have been carried out unheard */
} S3Sent;

/* Sends the last request.  True: the object is there, it is ours, and *stat is filled. */
extern bool s3_finish(S3Sent *sent, const S3Request *request, ObjectStat *stat, Failure *failure);

/*
 * Removes what is there of ours although its upload is called failed; also in a cancelled job.
 * A failure: something stays (REASON_LOCKED: for a known time), or may yet come to be there.
 */
extern void s3_finish_undo(const S3Sent *sent, Failure *failure);

#endif
