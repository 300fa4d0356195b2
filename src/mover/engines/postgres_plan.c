/*
 * postgres_plan.c
 *	  Two tables of contents and the target's facts, compared.
 */
#include "postgres_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define NOTES_MAX 100
#define NOTE_SIZE 400

static const char *
text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static bool
same_text(const char *one, const char *other)
{
	return strcmp(text_or_empty(one), text_or_empty(other)) == 0;
}

/* An event is at most 64 KiB long: past a hundred sentences the last one counts the others. */
bool
postgres_plan_note(PostgresPlan *plan, Failure *failure, const char *format, ...)
{
	char	text[NOTE_SIZE];
	va_list args;
	json_t *note;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (json_array_size(plan->left_alone) >= NOTES_MAX)
		snprintf(text, sizeof(text), "and %zu more", ++plan->notes_left_out);
	text_make_line(text);
	note = json_string(text);
	if (plan->notes_left_out > 1)
		return json_array_set_new(plan->left_alone, NOTES_MAX, note) == 0 || failure_no_memory(failure);
	return json_array_append_new(plan->left_alone, note) == 0 || failure_no_memory(failure);
}

/* "table public.t", for people. */
static const char *
entry_text(const TocEntry *entry, char *buffer, size_t size)
{
	bool in_schema = text_or_empty(entry->namespace)[0] != '\0';

	snprintf(buffer, size, "%s %s%s%s", entry->desc, text_or_empty(entry->namespace), in_schema ? "." : "",
			 text_or_empty(entry->tag));
	for (char *at = buffer; *at != '\0' && at < buffer + strlen(entry->desc); at++)
		*at = (char) (*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	return buffer;
}

/* Entries that are no objects of their own: they come and go with one, or carry its data. */
static bool
is_attribute(const TocEntry *entry)
{
	switch (entry->class)
	{
		case TOC_ACL:
		case TOC_DEFAULT_ACL:
		case TOC_COMMENT:
		case TOC_SECURITY_LABEL:
		case TOC_ENCODING:
		case TOC_STDSTRINGS:
		case TOC_SEARCHPATH:
		case TOC_DATABASE:
		case TOC_DATABASE_PROPERTIES:
		case TOC_TABLE_DATA:
		case TOC_SEQUENCE_SET:
		case TOC_BLOBS:
		case TOC_STATISTICS_DATA:
		case TOC_MATERIALIZED_VIEW_DATA:
			return true;
		default:
			return false;
	}
}

/* Classes that PostgreSQL lets superusers alone create. */
static bool
wants_superuser(const TocEntry *entry)
{
	return entry->class == TOC_EVENT_TRIGGER || entry->class == TOC_FOREIGN_DATA_WRAPPER ||
		   entry->class == TOC_ACCESS_METHOD || entry->class == TOC_TEXT_SEARCH_PARSER ||
		   entry->class == TOC_TEXT_SEARCH_TEMPLATE || entry->class == TOC_PROCEDURAL_LANGUAGE ||
		   entry->class == TOC_SUBSCRIPTION || entry->class == TOC_SUBSCRIPTION_TABLE;
}

static bool
is_public(const TocEntry *entry)
{
	return entry->class == TOC_SCHEMA && same_text(entry->tag, "public");
}

/*
 * An extension of ours that the backup has too stays, unless it has configuration
 * tables, whose rows then come from the backup, or lies in another schema.
 */
static bool
drops_extension(const PostgresPlan *plan, const TocEntry *entry)
{
	const TocEntry *wanted = postgres_archive_find_extension(plan->backup, entry->tag);
	int				row = postgres_target_extension(plan->target, entry->tag);

	if (row < 0 || PQgetvalue(plan->target->extensions, row, 2)[0] != 't')
		return false;
	return wanted == NULL || PQgetvalue(plan->target->extensions, row, 3)[0] == 't' ||
		   !same_text(wanted->definition, entry->definition);
}

/* A partition's key has a drop statement that the server refuses: it goes with the parent's, or the table. */
static bool
goes_with_parent(const PostgresPlan *plan, const TocEntry *entry)
{
	return (entry->class == TOC_CONSTRAINT || entry->class == TOC_CHECK_CONSTRAINT ||
			entry->class == TOC_FK_CONSTRAINT) &&
		   postgres_target_inherits_constraint(plan->target, entry->oid);
}

static bool
drops_entry(const PostgresPlan *plan, const TocEntry *entry)
{
	if (is_attribute(entry) || text_or_empty(entry->drop_statement)[0] == '\0' || is_public(entry))
		return false;
	switch (entry->class)
	{
		case TOC_EXTENSION:
			return drops_extension(plan, entry);
		case TOC_EVENT_TRIGGER:
		case TOC_SUBSCRIPTION:
		case TOC_BLOB:
		case TOC_BLOB_METADATA:
			return false;
		case TOC_CAST:
		case TOC_TRANSFORM:
			return postgres_target_owns_object(plan->target, entry->catalog, entry->oid);
		default:
			return postgres_target_is_ours(plan->target, entry->owner) && !goes_with_parent(plan, entry);
	}
}

static const TocEntry *
find_schema(const PostgresPlan *plan, const char *name, size_t *index)
{
	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (entry->class == TOC_SCHEMA && same_text(entry->tag, name))
		{
			*index = i;
			return entry;
		}
	}
	return NULL;
}

/* Is this an object that stays because it is not ours? */
static bool
stays(const PostgresPlan *plan, size_t index)
{
	const TocEntry *entry = &plan->present->entries[index];

	return !plan->drops[index] && !is_attribute(entry) && text_or_empty(entry->drop_statement)[0] != '\0' &&
		   !(goes_with_parent(plan, entry) && postgres_target_is_ours(plan->target, entry->owner));
}

static bool
keep_schema(PostgresPlan *plan, const char *name, const char *because, Failure *failure)
{
	size_t index;

	if (name == NULL || find_schema(plan, name, &index) == NULL || !plan->drops[index])
		return true;
	plan->drops[index] = false;
	return postgres_plan_note(plan, failure, "schema %s stays: %s is in it", name, because);
}

/* Schemas in which something stays, stay. */
static bool
keep_inhabited_schemas(PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (stays(plan, i) && entry->class != TOC_SCHEMA &&
			!keep_schema(plan, entry->namespace, entry_text(entry, text, sizeof(text)), failure))
			return false;
		if (stays(plan, i) && entry->class == TOC_EXTENSION)
		{
			int row = postgres_target_extension(plan->target, entry->tag);

			if (row >= 0 && !keep_schema(plan, PQgetvalue(plan->target->extensions, row, 1),
										 entry_text(entry, text, sizeof(text)), failure))
				return false;
		}
	}
	return true;
}

/* DROP without CASCADE would be refused by the server: told before anything is locked. */
static bool
check_dependants(const PostgresPlan *plan, Failure *failure)
{
	char staying[256];
	char dropped[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		for (size_t k = 0; stays(plan, i) && k < entry->dependency_count; k++)
		{
			const TocEntry *needed = postgres_archive_find(plan->present, entry->dependencies[k]);

			if (needed != NULL && plan->drops[needed - plan->present->entries])
				return failure_set(failure, REASON_NOT_RESTORABLE,
								   "%s of role \"%s\" depends on %s, which the restore has to replace: drop "
								   "it first, or give "
								   "it to role \"%s\"",
								   entry_text(entry, staying, sizeof(staying)),
								   text_or_empty(entry->owner)[0] != '\0' ? entry->owner : "(another)",
								   entry_text(needed, dropped, sizeof(dropped)), plan->target->role);
		}
	}
	return true;
}

static bool
note_staying(PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (!stays(plan, i) || is_public(entry))
			continue;
		/* Ours or not, an extension that both have is as the backup had it. */
		if (entry->class == TOC_EXTENSION &&
			postgres_archive_find_extension(plan->backup, entry->tag) != NULL)
			continue;
		if (entry->class == TOC_SCHEMA && postgres_target_is_ours(plan->target, entry->owner))
			continue;
		if (!postgres_plan_note(plan, failure, "%s stays: it is another role's",
								entry_text(entry, text, sizeof(text))))
			return false;
	}
	return true;
}

static bool
plan_drops(PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->present->entry_count; i++)
		plan->drops[i] = drops_entry(plan, &plan->present->entries[i]);
	return keep_inhabited_schemas(plan, failure) && check_dependants(plan, failure) &&
		   note_staying(plan, failure);
}

/* Does an object of this class and name stay in the target? */
static bool
target_keeps(const PostgresPlan *plan, const TocEntry *entry)
{
	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *kept = &plan->present->entries[i];

		if (kept->class == entry->class && stays(plan, i) && same_text(kept->desc, entry->desc) &&
			same_text(kept->tag, entry->tag) && same_text(kept->namespace, entry->namespace))
			return true;
	}
	return false;
}

/* An attribute or a part of something that is not restored is not restored. */
static bool
hangs_on_left_out(const PostgresPlan *plan, const TocEntry *entry)
{
	for (size_t k = 0; k < entry->dependency_count; k++)
	{
		const TocEntry *needed = postgres_archive_find(plan->backup, entry->dependencies[k]);

		if (needed != NULL && !plan->chosen[needed - plan->backup->entries] && needed->class != TOC_SCHEMA &&
			needed->class != TOC_EXTENSION)
			return true;
	}
	return false;
}

/* Data of a table that the archive does not create: a configuration table of an extension that stays. */
static bool
is_kept_configuration(const PostgresPlan *plan, const TocEntry *entry)
{
	const char	   *extension;
	const TocEntry *wanted;

	if (entry->class != TOC_TABLE_DATA && entry->class != TOC_SEQUENCE_SET)
		return false;
	extension = postgres_target_configuration_of(plan->target, text_or_empty(entry->namespace),
												 text_or_empty(entry->tag));
	if (extension == NULL)
		return false;
	wanted = postgres_archive_find_extension(plan->backup, extension);
	return wanted == NULL || !plan->chosen[wanted - plan->backup->entries];
}

/* COMMENT's tag names its object: "SCHEMA public", "EXTENSION hstore". */
static bool
comments_on_kept(const PostgresPlan *plan, const TocEntry *entry)
{
	if (entry->class != TOC_COMMENT && entry->class != TOC_SECURITY_LABEL)
		return false;
	if (same_text(entry->tag, "SCHEMA public"))
		return true;
	for (size_t k = 0; k < entry->dependency_count; k++)
	{
		const TocEntry *object = postgres_archive_find(plan->backup, entry->dependencies[k]);

		if (object != NULL && !plan->chosen[object - plan->backup->entries])
			return true;
	}
	return false;
}

/* NULL: pg_restore puts it back.  "": it does not, as a matter of course.  Else why not. */
static const char *
reason_to_leave_out(const PostgresPlan *plan, const TocEntry *entry)
{
	switch (entry->class)
	{
		case TOC_ENCODING:
		case TOC_STDSTRINGS:
		case TOC_SEARCHPATH:
		case TOC_DATABASE:
		case TOC_DATABASE_PROPERTIES:
		case TOC_ACL:		  /* later, each for itself */
		case TOC_DEFAULT_ACL: /* likewise */
			return "";
		case TOC_SCHEMA:
			if (is_public(entry) && plan->target->has_public)
				return "";
			return target_keeps(plan, entry) ? "" : NULL;
		case TOC_EXTENSION:
			return target_keeps(plan, entry) ? "" : NULL;
		default:
			break;
	}
	if (is_kept_configuration(plan, entry) || comments_on_kept(plan, entry))
		return "";
	if (target_keeps(plan, entry))
		return ""; /* told already: it stays */
	/* It names roles of the source, and holds their passwords. */
	if (entry->class == TOC_USER_MAPPING && plan->mode == RESTORE_CLONE)
		return "a clone gets no user mappings";
	if (wants_superuser(entry) && !plan->target->superuser)
		return "only a superuser could create it";
	if (!postgres_target_is_ours(plan->target, entry->owner) && hangs_on_left_out(plan, entry))
		return is_attribute(entry) ? "" : "what it belongs to is another role's";
	if (entry->class == TOC_TABLE_DATA || entry->class == TOC_SEQUENCE_SET ||
		entry->class == TOC_MATERIALIZED_VIEW_DATA)
		return hangs_on_left_out(plan, entry) ? "" : NULL;
	return NULL;
}

static bool
plan_choices(PostgresPlan *plan, Failure *failure)
{
	char text[256];

	/* Parts may stand before what they hang on is judged, so objects come first. */
	for (int attributes = 0; attributes <= 1; attributes++)
	{
		for (size_t i = 0; i < plan->backup->entry_count; i++)
		{
			const TocEntry *entry = &plan->backup->entries[i];
			const char	   *why;

			if (is_attribute(entry) != (attributes == 1))
				continue;
			why = reason_to_leave_out(plan, entry);
			plan->chosen[i] = why == NULL;
			if (why != NULL && why[0] != '\0' &&
				!postgres_plan_note(plan, failure, "%s of the backup is not restored: %s",
									entry_text(entry, text, sizeof(text)), why))
				return false;
		}
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

static bool
check_empty(const PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (is_attribute(entry) || is_public(entry) || entry->class == TOC_EXTENSION ||
			entry->class == TOC_EVENT_TRIGGER)
			continue;
		return failure_set(failure, REASON_TARGET_NOT_EMPTY,
						   "the target holds %s: a clone wants an empty database",
						   entry_text(entry, text, sizeof(text)));
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
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		for (int row = 0; entry->class == TOC_BLOB && row < PQntuples(plan->target->kept_large_objects);
			 row++)
		{
			if (same_text(PQgetvalue(plan->target->kept_large_objects, row, 0), entry->tag))
				return failure_set(
					failure, REASON_NOT_RESTORABLE,
					"large object %s of the backup is another role's in the target: let it be unlinked",
					entry->tag);
		}
	}
	return true;
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

static const char *
public_attribute(const PostgresArchive *archive, TocClass class)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		if (archive->entries[i].class == class && same_text(archive->entries[i].tag, "SCHEMA public"))
			return archive->entries[i].definition;
	}
	return "";
}

/* pg_dump writes no CREATE for a schema public that is as initdb made it. */
static bool
uses_new_public(const PostgresPlan *plan)
{
	bool uses = false;

	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (is_public(entry))
			return false;
		uses = uses || (plan->chosen[i] && same_text(entry->namespace, "public"));
	}
	return uses;
}

static bool
compare_public(PostgresPlan *plan, Failure *failure)
{
	plan->public_differs =
		!same_text(public_attribute(plan->present, TOC_ACL), public_attribute(plan->backup, TOC_ACL)) ||
		!same_text(public_attribute(plan->present, TOC_COMMENT), public_attribute(plan->backup, TOC_COMMENT));
	if (!plan->target->has_public)
		plan->public_differs = plan->creates_public = uses_new_public(plan);
	if (!plan->public_differs || plan->target->owns_public || plan->creates_public)
		return true;
	plan->public_differs = false;
	return postgres_plan_note(plan, failure,
							  "grants and comment of schema public stay: it is another role's");
}

bool
postgres_plan_make(PostgresPlan *plan, PostgresSession *session, Failure *failure)
{
	plan->left_alone = json_array();
	plan->drops = calloc(plan->present->entry_count + 1, sizeof(bool));
	plan->chosen = calloc(plan->backup->entry_count + 1, sizeof(bool));
	if (plan->left_alone == NULL || plan->drops == NULL || plan->chosen == NULL)
		return failure_no_memory(failure);
	if (plan->mode == RESTORE_CLONE && !check_empty(plan, failure))
		return false;
	return plan_drops(plan, failure) && plan_choices(plan, failure) &&
		   check_extensions(plan, session, failure) && check_large_objects(plan, failure) &&
		   check_locks(plan, failure) && compare_public(plan, failure);
}

void
postgres_plan_free(PostgresPlan *plan)
{
	json_decref(plan->left_alone);
	free(plan->drops);
	free(plan->chosen);
	memset(plan, 0, sizeof(*plan));
}
