/* The numbers of a maildrop's messages: POP3 names them by UIDL, which says little, may be missing,
 * and may not be unique (RFC 1939 section 7). A number is given once and never again, and kept in
 * the index' database, so that names are the same in every session; commits with the index. Engine
 * thread.
 */
#pragma once

#include "cache/index.h"

struct uidl_row {
	uint32_t number;
	char *uidl;    /* "" where the server has none */
	uint64_t size; /* as LIST said; UINT64_MAX: not told */
	char *hash;    /* hex digits of the header's digest; "": not known yet */
};

void uidl_row_free(void *row);

/* By rising number; of struct uidl_row *. Free with g_ptr_array_unref(). NULL on failure. */
GPtrArray *uidls_all(struct index *index);
/* False if there is none; `ret` is untouched then. Free its strings with g_free(). */
bool uidls_get(struct index *index, uint32_t number, struct uidl_row *ret);
/* A new one. 0 on failure. */
uint32_t uidls_add(struct index *index, const char *uidl, uint64_t size, const char *hash);
/* What the server says of it now. */
void uidls_set(struct index *index, const struct uidl_row *row);
/* The message is gone for good. Its number is not given again. */
void uidls_forget(struct index *index, uint32_t number);
/* The next number that will be given. */
uint32_t uidls_next(struct index *index);
/* To be told as UIDVALIDITY: another one in each database, as its numbers begin anew, and what was
 * promised of a message must not meet one that has its number now. 0 on failure. */
uint32_t uidls_validity(struct index *index);
/* Something outside speaks of `number`. If it was not given here, this database is an older copy,
 * and will give it to another message: the UIDVALIDITY is drawn anew. */
void uidls_spoken_of(struct index *index, uint32_t number);
