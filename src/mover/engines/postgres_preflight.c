/*
 * postgres_preflight.c
 *	  Refusals, each with a sentence that says what to do.
 */
#include "postgres_preflight.h"

#include "postgres_entry.h"

/* What this entry needs and the restore drops; NULL: nothing. */
static const TocEntry *
dropped_need(const PostgresPlan *plan, const TocEntry *entry)
{
	for (size_t k = 0; k < entry->dependency_count; k++)
	{
		const TocEntry *needed = postgres_archive_find(plan->present, entry->dependencies[k]);

		if (needed != NULL && plan->drops[needed - plan->present->entries])
			return needed;
	}
	return NULL;
}

/* What stays and has this entry in it, as a publication has tables and a table has partitions; NULL: nothing. */
static const TocEntry *
staying_holder(const PostgresPlan *plan, const TocEntry *place)
{
	for (size_t k = 0; k < place->dependency_count; k++)
	{
		const TocEntry *holder = postgres_archive_find(plan->present, place->dependencies[k]);

		/* Anything else is used, not lived in: as by a partition's index an extension's operator class. */
		if (holder == NULL || (holder->class != TOC_PUBLICATION && holder->class != TOC_TABLE) ||
			plan->drops[holder - plan->present->entries])
			continue;
		for (size_t i = 0; i < plan->staying_count; i++)
		{
			if (&plan->present->entries[plan->staying[i]] == holder)
				return holder;
		}
	}
	return NULL;
}

static bool
refuse_dependant(const PostgresPlan *plan, const TocEntry *entry, const TocEntry *needed, Failure *failure)
{
	char staying[256];
	char dropped[256];

	return failure_set(failure, REASON_NOT_RESTORABLE,
					   "%s of role \"%s\" depends on %s, which the restore has to replace: drop it "
					   "first, or give it to role \"%s\"",
					   postgres_entry_text(entry, staying, sizeof(staying)),
					   text_or_empty(entry->owner)[0] != '\0' ? entry->owner : "(another)",
					   postgres_entry_text(needed, dropped, sizeof(dropped)), plan->target->role);
}

/*
 * DROP without CASCADE would be refused by the server: told before anything is locked.
 * Worse is what it would not refuse: a table's place in another role's publication
 * goes with the table, and is not ours to give again.
 */
static bool
check_dependants(const PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->staying_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[plan->staying[i]];
		const TocEntry *needed = dropped_need(plan, entry);

		if (needed != NULL)
			return refuse_dependant(plan, entry, needed, failure);
	}
	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *place = &plan->present->entries[i];
		const TocEntry *needed = dropped_need(plan, place);
		const TocEntry *holder;

		if (needed == NULL || text_or_empty(place->drop_statement)[0] != '\0' ||
			postgres_entry_is_attribute(place))
			continue;
		holder = staying_holder(plan, place);
		if (holder != NULL)
			return refuse_dependant(plan, holder, needed, failure);
	}
	return true;
}

/* In a schema that stays, and in which we may not create. */
static bool
check_schemas(const PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (plan->chosen[i] && !postgres_entry_is_attribute(entry) &&
			postgres_target_is_closed(plan->target, entry->namespace) &&
			!postgres_plan_drops_schema(plan, entry->namespace))
			return failure_set(failure, REASON_NOT_RESTORABLE,
							   "%s of the backup lies in a schema in which role \"%s\" may not create: "
							   "GRANT CREATE ON SCHEMA \"%s\" TO \"%s\"",
							   postgres_entry_text(entry, text, sizeof(text)), plan->target->role,
							   entry->namespace, plan->target->role);
	}
	return true;
}

/* A schema or publication is made by whoever may create in the database. */
static bool
check_database(const PostgresPlan *plan, const PostgresSession *session, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (plan->chosen[i] && !plan->target->may_create &&
			(entry->class == TOC_SCHEMA || entry->class == TOC_PUBLICATION))
			return failure_set(failure, REASON_NOT_RESTORABLE,
							   "%s of the backup has to be created, and role \"%s\" may create nothing in "
							   "this database: GRANT CREATE ON DATABASE \"%s\" TO \"%s\"",
							   postgres_entry_text(entry, text, sizeof(text)), plan->target->role,
							   PQdb(session->connection), plan->target->role);
	}
	return true;
}

static bool
check_extensions(const PostgresPlan *plan, PostgresSession *session, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];
		bool			can = true;

		if (entry->class != TOC_EXTENSION || !plan->chosen[i])
			continue;
		if (!postgres_target_can_create_extension(session, plan->target, entry->tag, &can, failure))
			return false;
		if (!can)
			return failure_set(
				failure, REASON_NOT_RESTORABLE,
				"the backup needs the extension %s, which the target lacks and role \"%s\" may not create: "
				"let an administrator run CREATE EXTENSION %s in it",
				entry->tag, plan->target->role, entry->tag);
	}
	return true;
}

/* A schema that an administrator made for extensions is no more a customer's than these are. */
static bool
is_schema_of_extensions(const PostgresTarget *target, const TocEntry *entry)
{
	if (entry->class != TOC_SCHEMA || postgres_target_is_ours(target, entry->owner))
		return false;
	for (int row = 0; row < PQntuples(target->extensions); row++)
		if (strcmp(postgres_value(target->extensions, row, 1), entry->tag) == 0)
			return true;
	return false;
}

static bool
check_empty(const PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (postgres_entry_is_attribute(entry) || postgres_entry_is_public(entry) ||
			entry->class == TOC_EXTENSION || entry->class == TOC_EVENT_TRIGGER ||
			is_schema_of_extensions(plan->target, entry))
			continue;
		return failure_set(failure, REASON_TARGET_NOT_EMPTY,
						   "the target holds %s: a clone wants an empty database",
						   postgres_entry_text(entry, text, sizeof(text)));
	}
	if (plan->target->large_objects > 0 || PQntuples(plan->target->kept_large_objects) > 0)
		return failure_set(failure, REASON_TARGET_NOT_EMPTY,
						   "the target holds large objects: a clone wants an empty database");
	return true;
}

/* A large object of another role's under a number that the backup has cannot be replaced. */
static bool
check_large_objects(const PostgresPlan *plan, Failure *failure)
{
	for (int row = 0; row < PQntuples(plan->target->kept_large_objects); row++)
	{
		const char *oid = postgres_value(plan->target->kept_large_objects, row, 0);

		if (postgres_archive_has_large_object(plan->backup, oid))
			return failure_set(
				failure, REASON_NOT_RESTORABLE,
				"large object %s of the backup is another role's in the target: give it to role \"%s\" "
				"(ALTER LARGE OBJECT %s OWNER TO ...), or let it be unlinked",
				oid, plan->target->role, oid);
	}
	return true;
}

/* With a role that owns nothing, a rewind would change nothing and say that all is well. */
static bool
check_owns_something(const PostgresPlan *plan, Failure *failure)
{
	size_t tables = 0;

	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		if (plan->backup->entries[i].class != TOC_TABLE)
			continue;
		if (plan->chosen[i])
			return true;
		tables++;
	}
	return tables == 0 || failure_set(failure, REASON_NOT_RESTORABLE,
									  "role \"%s\" owns none of the %zu tables in the backup: give the "
									  "resource the URL of their owner",
									  plan->target->role, tables);
}

/*
 * The lock table is shared by all databases of the server: half of it is what one
 * restore may take.
 */
static bool
check_locks(const PostgresPlan *plan, Failure *failure)
{
	uint64_t needed = postgres_archive_drop_locks(plan->present, plan->drops) +
					  postgres_archive_create_locks(plan->backup, plan->chosen) +
					  (uint64_t) plan->target->large_objects;
	uint64_t allowed = (uint64_t) plan->target->lock_capacity / 2;

	if (needed <= allowed)
		return true;
	return failure_set(failure, REASON_NOT_RESTORABLE,
					   "restoring in one transaction needs about %llu locks, and half of the target's lock "
					   "table is %llu (%s): "
					   "raise max_locks_per_transaction to %llu and restart the target",
					   (unsigned long long) needed, (unsigned long long) allowed, plan->target->lock_settings,
					   (unsigned long long) (needed * 2 * 64 / (uint64_t) plan->target->lock_capacity + 64));
}

bool
postgres_preflight(const PostgresPlan *plan, PostgresSession *session, Failure *failure)
{
	if (plan->mode == RESTORE_CLONE && !check_empty(plan, failure))
		return false;
	return check_dependants(plan, failure) && check_owns_something(plan, failure) &&
		   check_schemas(plan, failure) && check_database(plan, session, failure) &&
		   check_extensions(plan, session, failure) && check_large_objects(plan, failure) &&
		   check_locks(plan, failure);
}
