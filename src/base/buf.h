/* A byte buffer with a cap: bytes are appended at the end and consumed at the front. It grows with
 * what was received, never with what was announced. Not thread-safe; owned by one struct.
 * Memory that is given back is wiped first, so buf_wipe() really removes a login.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *bytes; /* NULL before the first byte */
	size_t start;	/* first byte not consumed */
	size_t end;	/* one past the last */
	size_t size;	/* allocated */
	size_t max;	/* cap on end - start */
};

void buf_init(struct buf *buf, size_t max);
void buf_clear(struct buf *buf);
/* False, and nothing appended, if the cap would be exceeded. */
bool buf_append(struct buf *buf, const void *bytes, size_t len);
/* `len` is at most buf_len(), here and below. */
void buf_consume(struct buf *buf, size_t len);
/* Keeps the first `len` bytes. */
void buf_truncate(struct buf *buf, size_t len);
/* Overwrites what is there with zeros, then empties it: for logins. */
void buf_wipe(struct buf *buf);

/* Never NULL. Valid until the next call that changes the buffer. */
static inline const uint8_t *buf_data(const struct buf *buf)
{
	return buf->bytes ? buf->bytes + buf->start : (const uint8_t *)"";
}

static inline size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}
