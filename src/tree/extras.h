/* What a folder shows besides its messages: files of the spool, and guests (messages on their way
 * into it). A message that is there already under the same name is shown instead. Any thread. */
#pragma once

#include "tree/shown.h"

/* Those of a moment. Which of them are shown is looked at when they are listed: a buffer of the
 * kernel holds few of many. */
struct extras {
	const struct visit *visit;
	const struct folder_row *folder;
	GPtrArray *drafts; /* of struct spool_file *; NULL: none */
	GPtrArray *guests; /* of struct guest *; NULL: none */
};

void extras_init(struct extras *ret, const struct visit *visit, const struct folder_row *folder);
void extras_clear(struct extras *extras);
uint32_t extras_count(const struct extras *extras, const struct shown *shown);

/* Those with a key above `after`, rising, until `each` returns false. */
typedef bool (*extras_fn)(void *data, const char *name, const struct tree_entry *entry,
			  uint64_t key);
void extras_each(const struct extras *extras, const struct shown *shown, uint64_t after,
		 extras_fn each, void *data);

/* A message of that name is not listed then. */
bool extra_find_draft(const struct visit *visit, const struct folder_row *folder, const char *name,
		      struct tree_entry *ret);
/* Whether a message takes its place is for the caller to see. */
bool extra_find_guest(const struct visit *visit, const struct folder_row *folder, const char *name,
		      struct tree_entry *ret);
