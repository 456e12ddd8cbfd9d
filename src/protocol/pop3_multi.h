/* What stands behind the "+OK" of a multi-line POP3 reply (RFC 1939 section 3): CRLF "." CRLF ends
 * it, nothing else, and a line that begins with a dot loses that. A line begins behind CRLF alone;
 * CR and LF that stand by themselves are bytes like others. Holds nothing but its state, so lines
 * may be of any length, and cuts between calls anywhere. Pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: before the first byte. */
struct pop3_multi {
	enum {
		POP3_MULTI_LINE_BEGINS,
		POP3_MULTI_IN_LINE,
		POP3_MULTI_CR,	   /* the last byte was one, and was told */
		POP3_MULTI_DOT,	   /* a line begins with one, and it is not told */
		POP3_MULTI_DOT_CR, /* nor the CR */
		POP3_MULTI_ENDED,
	} state;
};

struct pop3_piece {
	const uint8_t *bytes; /* part of what was fed, or constant */
	size_t len;	      /* may be 0 */
	bool ended;	      /* this was the last */
};

/* How many of `bytes` it took: none only if it tells what it took before. `len` is not 0, and the
 * end has not come. To be called until all are taken, or until `ended`. */
size_t pop3_multi_next(struct pop3_multi *multi, const uint8_t *bytes, size_t len,
		       struct pop3_piece *ret);
