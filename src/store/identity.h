/* What of a header tells one message from another, the same for a file here and for a message at
 * a server. Pure. */
#pragma once

#include <stddef.h>

/* As store_identity.fields: of each field the first one, cut at LIMIT_IDENTITY_VALUE; one without a
 * value is as good as none. `header` may go on behind its end with a body. Lines may end in LF
 * alone. Free with g_free(). */
char *store_identity_fields(const char *header, size_t len);
