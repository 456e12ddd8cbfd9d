/* The text of a status response: "[CODE arguments] text". */
#pragma once

#include "base/error.h"
#include "protocol/imap_response.h"
#include "protocol/imap_token.h"

/* What a NO with its code means; ERROR_SERVER if that is nothing in particular. */
enum mailfs_error imap_code_error(const struct imap_response *response);

/* From the cursor to the end. Never fails: a code that makes no sense is IMAP_CODE_OTHER. */
void imap_code_parse(struct imap_cursor *cursor, struct imap_response *response);

/* Words parted by spaces, upper-cased; those that are not printable ASCII are dropped, and
 * "LITERAL +" is read as one. NULL if there are more than LIMIT_CAPABILITIES. */
GPtrArray *imap_code_words(const char *text, size_t len);
/* "(\Seen NIL "$Junk")" from the cursor on, as sent. NULL if it is malformed, or has more than
 * LIMIT_CAPABILITIES flags. */
GPtrArray *imap_code_flags(struct imap_cursor *cursor);
