/* The text of a message on its way through DATA (RFC 5321 sections 2.3.8 and 4.5.2): each LF, CR
 * and CRLF becomes CRLF, a line that begins with a dot gets another, and what is not ended by a
 * line end is given one. Whatever the cuts between calls, no CR, LF or dot of the text can end
 * DATA. Pure functions. */
#pragma once

#include "base/buf.h"

struct smtp_data {
	bool in_line; /* the last byte was none of a line end */
	bool cr;      /* it was a CR: an LF behind it belongs to it */
};

/* Appends to `out`, at most 2 * len + 2 bytes. */
void smtp_data_encode(struct smtp_data *data, const uint8_t *bytes, size_t len, struct buf *out);
/* The text is over: appends what ends its last line, without the dot that ends DATA. */
void smtp_data_end(struct smtp_data *data, struct buf *out);
