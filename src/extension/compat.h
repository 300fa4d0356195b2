/*
 * compat.h
 *	  One source for Postgres 15 to 18: every test of a version stands here.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include "postgres.h"

#include "catalog/pg_database.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/resowner.h"

#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

#if PG_VERSION_NUM < 150000
#error "custbackup needs Postgres 15 or newer"
#endif

/* From 18 a module tells its name and version. */
#ifdef PG_MODULE_MAGIC_EXT
#define CUSTBACKUP_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "custbackup", .version = "1.0")
#else
#define CUSTBACKUP_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* Stands in front of a declaration; 18 has its own spelling for it. */
#if PG_VERSION_NUM >= 180000
#define CUSTBACKUP_NORETURN pg_noreturn
#else
#define CUSTBACKUP_NORETURN pg_attribute_noreturn()
#endif

/* The set lives until it is freed, through errors and transactions. */
#if PG_VERSION_NUM >= 170000
#define CREATE_WAIT_EVENT_SET(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define CREATE_WAIT_EVENT_SET(nevents) CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/* What pg_stat_activity shows while we wait: a name of our own from 17. */
#if PG_VERSION_NUM >= 170000
#define NEW_WAIT_EVENT(name) WaitEventExtensionNew(name)
#else
#define NEW_WAIT_EVENT(name) ((uint32) PG_WAIT_EXTENSION)
#endif

/* From 17 a worker may connect as a role that has no LOGIN. */
#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
#define CONNECTION_FLAGS	 BGWORKER_BYPASS_ROLELOGINCHECK
#define ROLE_MUST_HAVE_LOGIN false
#else
#define CONNECTION_FLAGS	 0
#define ROLE_MUST_HAVE_LOGIN true
#endif

#if PG_VERSION_NUM >= 160000
#define DATABASE_ACLCHECK(database, role, mode)                                                              \
	object_aclcheck(DatabaseRelationId, (database), (role), (mode))
#else
#define DATABASE_ACLCHECK(database, role, mode) pg_database_aclcheck((database), (role), (mode))
#endif

/* Part of a list of {name, value}. */
#if PG_VERSION_NUM >= 170000
#define PINNED_SETTINGS_OF_VERSION {"transaction_timeout", "0"},
#else
#define PINNED_SETTINGS_OF_VERSION
#endif

#endif
