/* Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3). */
#pragma once

#include <glib.h>
#include <stddef.h>

/* NULL unless the text is the canonical encoding of some Unicode text without NUL, so that
 * mutf7_encode(mutf7_decode(x)) is x. Free with g_free(). */
char *mutf7_decode(const char *text, size_t len);
/* `utf8` must be valid UTF-8. Free with g_free(). */
char *mutf7_encode(const char *utf8);
