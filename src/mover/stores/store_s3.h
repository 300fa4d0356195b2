/*
 * store_s3.h
 *	  What a bucket can do beyond store.h.
 */
#ifndef STORE_S3_H
#define STORE_S3_H

#include "stores/s3_client.h"
#include "stores/store.h"

/* The client of a store that store_s3_open() gave; for what store.h has no word for. */
extern S3Client *store_s3_client(Store *store);

#endif
