/* DEFLATE (RFC 1951) in both directions over one connection, as COMPRESS wants it (RFC 4978). It
 * moves no byte itself: its owner, the link, does. One thread.
 *
 * What comes is inflated no faster than it is read, so that it takes no more memory than the reader
 * gives it. A stream that grows more than LIMIT_INFLATE_RATIO times, once it is longer than
 * LIMIT_INFLATE_BYTES, is a bomb: ERROR_LIMIT. ERROR_PROTOCOL: it is damaged, or goes on behind its
 * end. After an error it can only be freed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct deflate;

/* `peer`, copied, is for error messages. ERROR_IO. */
struct deflate *deflate_new(const char *peer, GError **error);
void deflate_free(struct deflate **stream);

/* --- what comes --- */

/* Copies bytes as they came; to be called when deflate_read() has given 0, and before the first. */
void deflate_feed(struct deflate *stream, const void *bytes, size_t len);
/* > 0 bytes; 0: it must be fed; -1: error. */
ssize_t deflate_read(struct deflate *stream, void *bytes, size_t max, GError **error);
/* deflate_read() may give bytes without being fed. */
bool deflate_pending(const struct deflate *stream);

/* --- what goes --- */

/* What is to be sent of the `len` (> 0) bytes, or of those at their front; the same until
 * deflate_sent() has taken it whole: till then each call must offer at least the same bytes. */
const uint8_t *deflate_write(struct deflate *stream, const void *bytes, size_t len,
			     size_t *ret_len);
/* `len` bytes of that are sent. How many of those offered it stood for, when it is whole; else 0.
 */
size_t deflate_sent(struct deflate *stream, size_t len);
