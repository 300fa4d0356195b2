/*
 * s3_upload.h
 *	  An object on its way up, in one piece or in parts.
 *
 *	  room() ──▶ the part that is being filled ──▶ s3_transfer.h: parts in flight ──▶ Complete ──▶ HEAD
 *
 * Nothing is sent before the first part is full and more bytes come: what fits
 * into one part goes up by a single PUT in finish().  Parts lie in memory within
 * the budget, and in unnamed spools where two of them would exceed it.
 *
 * `stored` means seen by HEAD: of the length that was sent, with this attempt's id.
 */
#ifndef S3_UPLOAD_H
#define S3_UPLOAD_H

#include "stores/s3_client.h"
#include "stores/store.h"

/* The client is the upload's until finish() or abort(). */
extern Upload *s3_upload_begin(S3Client *client, const ObjectInfo *info, Failure *failure);

#endif
