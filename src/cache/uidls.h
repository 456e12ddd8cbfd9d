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
	uint64_t size; /* as LIST said when it was seen first */
	char *hash;    /* hex digits of the header's digest; "": not known yet */
};

void uidl_row_free(void *row);

/* Those with this UIDL, by rising number; of struct uidl_row *. Free with g_ptr_array_unref(). */
GPtrArray *uidls_find(struct index *index, const char *uidl);
bool uidls_get(struct index *index, uint32_t number, struct uidl_row *ret);
/* A new one. 0 on failure. */
uint32_t uidls_add(struct index *index, const char *uidl, uint64_t size, const char *hash);
void uidls_set_hash(struct index *index, uint32_t number, const char *hash);
/* The message is gone for good. Its number is not given again. */
void uidls_forget(struct index *index, uint32_t number);
/* The next number that will be given. */
uint32_t uidls_next(struct index *index);
