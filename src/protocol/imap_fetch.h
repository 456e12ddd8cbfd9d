/* The inside of "* n FETCH (...)". The last of repeated items wins, unknown ones are skipped, and a
 * number that is none counts as not sent. */
#pragma once

#include "protocol/imap_response.h"
#include "protocol/imap_token.h"

/* Behind the word FETCH, up to the end. On failure `fetch` is to be cleared too. */
bool imap_fetch_parse(struct imap_cursor *cursor, struct imap_fetch *fetch);
void imap_fetch_clear(struct imap_fetch *fetch);

/* Parts flags as sent into those of enum imap_flag, which are returned, and keywords, which are
 * added to `keywords` (of char *, freed with it). Others of the system are dropped. */
unsigned imap_fetch_sort_flags(const GPtrArray *words, GPtrArray *keywords);
/* "17-Jul-1996 02:44:25 -0700" and " 1-Jul-..."; 0 if it is no date. */
int64_t imap_fetch_date(const char *text, size_t len);
