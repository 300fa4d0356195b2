/*
 * postgres_plan.c
 *	  Two tables of contents and the target's facts, compared.
 */
#include "postgres_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres_entry.h"
#include "postgres_preflight.h"
#include "text.h"

#define NOTES_MAX 100
#define NOTE_SIZE 400

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

/* Classes that PostgreSQL lets superusers alone create. */
static bool
wants_superuser(const TocEntry *entry)
{
	return entry->class == TOC_EVENT_TRIGGER || entry->class == TOC_FOREIGN_DATA_WRAPPER ||
		   entry->class == TOC_ACCESS_METHOD || entry->class == TOC_TEXT_SEARCH_PARSER ||
		   entry->class == TOC_TEXT_SEARCH_TEMPLATE || entry->class == TOC_PROCEDURAL_LANGUAGE ||
		   entry->class == TOC_SUBSCRIPTION || entry->class == TOC_SUBSCRIPTION_TABLE;
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

	if (row < 0 || postgres_value(plan->target->extensions, row, 2)[0] != 't')
		return false;
	return wanted == NULL || postgres_value(plan->target->extensions, row, 3)[0] == 't' ||
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

static const TocEntry *
find_schema(const PostgresArchive *archive, const char *name, size_t *index)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		if (entry->class != TOC_SCHEMA || !same_text(entry->tag, name))
			continue;
		if (index != NULL)
			*index = i;
		return entry;
	}
	return NULL;
}

/* What we may not make again is emptied, and stays. */
static bool
drops_schema(const PostgresPlan *plan, const TocEntry *entry)
{
	if (!postgres_target_is_ours(plan->target, entry->owner))
		return false;
	return plan->target->may_create || find_schema(plan->backup, entry->tag, NULL) == NULL;
}

static bool
drops_entry(const PostgresPlan *plan, const TocEntry *entry)
{
	if (postgres_entry_is_attribute(entry) || text_or_empty(entry->drop_statement)[0] == '\0' ||
		postgres_entry_is_public(entry))
		return false;
	switch (entry->class)
	{
		case TOC_EXTENSION:
			return drops_extension(plan, entry);
		case TOC_SCHEMA:
			return drops_schema(plan, entry);
		case TOC_EVENT_TRIGGER:
		case TOC_ACCESS_METHOD: /* these three have no owner */
		case TOC_TEXT_SEARCH_PARSER:
		case TOC_TEXT_SEARCH_TEMPLATE:
			return plan->target->superuser;
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

bool
postgres_plan_drops_schema(const PostgresPlan *plan, const char *name)
{
	size_t index;

	return find_schema(plan->present, name, &index) != NULL && plan->drops[index];
}

/* Is this an object that stays because it is not ours? */
static bool
stays(const PostgresPlan *plan, size_t index)
{
	const TocEntry *entry = &plan->present->entries[index];

	return !plan->drops[index] && !postgres_entry_is_attribute(entry) &&
		   text_or_empty(entry->drop_statement)[0] != '\0' &&
		   !(goes_with_parent(plan, entry) && postgres_target_is_ours(plan->target, entry->owner));
}

static bool
keep_schema(PostgresPlan *plan, const char *name, const char *because, Failure *failure)
{
	size_t index;

	if (name == NULL || find_schema(plan->present, name, &index) == NULL || !plan->drops[index])
		return true;
	plan->drops[index] = false;
	return postgres_plan_note(plan, failure, "schema %s stays: %s is in it", name, because);
}

/* Default privileges of another role go with the schema, and only it could give them again. */
static bool
is_others_default(const PostgresPlan *plan, const TocEntry *entry)
{
	return entry->class == TOC_DEFAULT_ACL && !postgres_target_is_ours(plan->target, entry->owner);
}

/* Schemas in which something stays, stay. */
static bool
keep_inhabited_schemas(PostgresPlan *plan, Failure *failure)
{
	char text[256];

	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *entry = &plan->present->entries[i];

		if (((stays(plan, i) && entry->class != TOC_SCHEMA) || is_others_default(plan, entry)) &&
			!keep_schema(plan, entry->namespace, postgres_entry_text(entry, text, sizeof(text)), failure))
			return false;
		if (stays(plan, i) && entry->class == TOC_EXTENSION)
		{
			int row = postgres_target_extension(plan->target, entry->tag);

			if (row >= 0 && !keep_schema(plan, postgres_value(plan->target->extensions, row, 1),
										 postgres_entry_text(entry, text, sizeof(text)), failure))
				return false;
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

		if (!stays(plan, i) || postgres_entry_is_public(entry))
			continue;
		/* Ours or not, an extension that both have is as the backup had it. */
		if (entry->class == TOC_EXTENSION &&
			postgres_archive_find_extension(plan->backup, entry->tag) != NULL)
			continue;
		if (entry->class == TOC_SCHEMA && postgres_target_is_ours(plan->target, entry->owner))
			continue;
		if (!postgres_plan_note(plan, failure, "%s stays: it is another role's",
								postgres_entry_text(entry, text, sizeof(text))))
			return false;
	}
	return true;
}

static bool
plan_drops(PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->present->entry_count; i++)
		plan->drops[i] = drops_entry(plan, &plan->present->entries[i]);
	if (!keep_inhabited_schemas(plan, failure))
		return false;
	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		if (stays(plan, i))
			plan->staying[plan->staying_count++] = i;
	}
	return note_staying(plan, failure);
}

static bool
is_namesake(const TocEntry *a, const TocEntry *b)
{
	return a->class == b->class && same_text(a->tag, b->tag) && same_text(a->namespace, b->namespace) &&
		   same_text(a->desc, b->desc);
}

/* Does an object of this class and name stay in the target? */
static bool
target_keeps(const PostgresPlan *plan, const TocEntry *entry)
{
	for (size_t i = 0; i < plan->staying_count; i++)
	{
		if (is_namesake(&plan->present->entries[plan->staying[i]], entry))
			return true;
	}
	return false;
}

/*
 * A partition's place and its indexes have no statement that drops them: another
 * role's stay with the table.  "": that is told already; else why it is not restored.
 */
static const char *
why_not(const PostgresPlan *plan, const TocEntry *entry, const char *reason)
{
	for (size_t i = 0; i < plan->present->entry_count; i++)
	{
		const TocEntry *kept = &plan->present->entries[i];

		if (text_or_empty(kept->drop_statement)[0] == '\0' && is_namesake(kept, entry))
			return "";
	}
	return reason;
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
			if (postgres_entry_is_public(entry) && plan->target->has_public)
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
	if (!postgres_target_is_ours(plan->target, entry->owner) && !postgres_entry_is_attribute(entry) &&
		postgres_target_is_closed(plan->target, entry->namespace))
		return why_not(plan, entry, "it is another role's, and so is its schema");
	if (!postgres_target_is_ours(plan->target, entry->owner) && hangs_on_left_out(plan, entry))
		return postgres_entry_is_attribute(entry)
				   ? ""
				   : why_not(plan, entry, "what it belongs to is another role's");
	if (entry->class == TOC_TABLE_DATA || entry->class == TOC_SEQUENCE_SET ||
		entry->class == TOC_MATERIALIZED_VIEW_DATA)
		return hangs_on_left_out(plan, entry) ? "" : NULL;
	return NULL;
}

static bool
is_reset(const PostgresPlan *plan, const TocEntry *entry)
{
	const TocEntry *kept;
	size_t			index;

	if (entry->class != TOC_SCHEMA || postgres_entry_is_public(entry))
		return false;
	kept = find_schema(plan->present, entry->tag, &index);
	return kept != NULL && !plan->drops[index] && postgres_target_is_ours(plan->target, kept->owner);
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

			if (postgres_entry_is_attribute(entry) != (attributes == 1))
				continue;
			why = reason_to_leave_out(plan, entry);
			plan->chosen[i] = why == NULL;
			plan->reset[i] = is_reset(plan, entry);
			if (why != NULL && why[0] != '\0' &&
				!postgres_plan_note(plan, failure, "%s of the backup is not restored: %s",
									postgres_entry_text(entry, text, sizeof(text)), why))
				return false;
		}
	}
	return true;
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

/* pg_dump writes nothing for a schema public that is as initdb made it, and never its CREATE. */
static bool
uses_new_public(const PostgresPlan *plan)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (postgres_entry_is_public(entry) || (plan->chosen[i] && same_text(entry->namespace, "public")))
			return true;
	}
	return false;
}

const char *
postgres_plan_public_owner(const PostgresArchive *archive)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		if (postgres_entry_is_public(&archive->entries[i]))
			return text_or_empty(archive->entries[i].owner);
	}
	return "pg_database_owner";
}

static bool
compare_public(PostgresPlan *plan, Failure *failure)
{
	plan->public_differs =
		!same_text(postgres_plan_public_owner(plan->present), postgres_plan_public_owner(plan->backup)) ||
		!same_text(public_attribute(plan->present, TOC_ACL), public_attribute(plan->backup, TOC_ACL)) ||
		!same_text(public_attribute(plan->present, TOC_COMMENT), public_attribute(plan->backup, TOC_COMMENT));
	if (!plan->target->has_public)
		plan->public_differs = plan->creates_public = uses_new_public(plan);
	if (!plan->public_differs || plan->target->owns_public || plan->creates_public)
		return true;
	plan->public_differs = false;
	return postgres_plan_note(plan, failure,
							  "owner, grants and comment of schema public stay: it is another role's");
}

/* pg_restore knows them all or none: better all in one place than no restore. */
static bool
judge_tablespaces(PostgresPlan *plan, Failure *failure)
{
	if (plan->mode == RESTORE_CLONE)
	{
		plan->ignores_tablespaces = true;
		return true;
	}
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const char *name = text_or_empty(plan->backup->entries[i].tablespace);

		if (!plan->chosen[i] || name[0] == '\0' || postgres_target_may_fill(plan->target, name))
			continue;
		plan->ignores_tablespaces = true;
		return postgres_plan_note(plan, failure,
								  "tablespaces of the backup are not used: %s is not there, or role \"%s\" "
								  "may not create in it",
								  name, plan->target->role);
	}
	return true;
}

bool
postgres_plan_make(PostgresPlan *plan, PostgresSession *session, Failure *failure)
{
	plan->left_alone = json_array();
	plan->drops = calloc(plan->present->entry_count + 1, sizeof(bool));
	plan->staying = calloc(plan->present->entry_count + 1, sizeof(size_t));
	plan->chosen = calloc(plan->backup->entry_count + 1, sizeof(bool));
	plan->reset = calloc(plan->backup->entry_count + 1, sizeof(bool));
	if (plan->left_alone == NULL || plan->drops == NULL || plan->staying == NULL || plan->chosen == NULL ||
		plan->reset == NULL)
		return failure_no_memory(failure);
	return plan_drops(plan, failure) && plan_choices(plan, failure) &&
		   postgres_preflight(plan, session, failure) && compare_public(plan, failure) &&
		   judge_tablespaces(plan, failure);
}

void
postgres_plan_free(PostgresPlan *plan)
{
	json_decref(plan->left_alone);
	free(plan->drops);
	free(plan->staying);
	free(plan->chosen);
	free(plan->reset);
	memset(plan, 0, sizeof(*plan));
}
