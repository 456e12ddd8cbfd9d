#include "base/buf.h"

#include <string.h>

#define BUF_SIZE_MIN 256

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){.max = max};
}

void buf_clear(struct buf *buf)
{
	buf_wipe(buf);
	g_free(buf->bytes);
	*buf = (struct buf){.max = buf->max};
}

static void buf_compact(struct buf *buf)
{
	size_t len = buf_len(buf);

	memmove(buf->bytes, buf->bytes + buf->start, len);
	buf->start = 0;
	buf->end = len;
}

/* No realloc(): it would leave a copy of a login in freed memory. */
static void buf_grow(struct buf *buf, size_t size)
{
	size_t len = buf_len(buf);
	uint8_t *bytes = g_malloc(size);

	memcpy(bytes, buf_data(buf), len);
	if (buf->bytes)
		explicit_bzero(buf->bytes, buf->size);
	g_free(buf->bytes);
	buf->bytes = bytes;
	buf->start = 0;
	buf->end = len;
	buf->size = size;
}

/* Makes room for `len` bytes at the end. Bytes move only if at least half of the memory is free, so
 * that small appends and consumes on a full buffer do not cost a copy each. */
static void buf_reserve(struct buf *buf, size_t len)
{
	size_t need = buf_len(buf) + len;

	if (len <= buf->size - buf->end)
		return;
	if (need <= buf->size / 2)
		buf_compact(buf);
	else
		buf_grow(buf, MAX(MAX(BUF_SIZE_MIN, need), buf->size * 2));
}

static bool buf_fits(const struct buf *buf, size_t len)
{
	return len <= buf->max - buf_len(buf);
}

bool buf_append(struct buf *buf, const void *bytes, size_t len)
{
	if (!buf_fits(buf, len))
		return false;
	if (len == 0)
		return true;
	buf_reserve(buf, len);
	memcpy(buf->bytes + buf->end, bytes, len);
	buf->end += len;
	return true;
}

void buf_consume(struct buf *buf, size_t len)
{
	g_assert(len <= buf_len(buf));
	buf->start += len;
	if (buf->start == buf->end)
		buf->start = buf->end = 0;
}

void buf_truncate(struct buf *buf, size_t len)
{
	g_assert(len <= buf_len(buf));
	buf->end = buf->start + len;
}

void buf_wipe(struct buf *buf)
{
	if (buf->bytes)
		explicit_bzero(buf->bytes, buf->size);
	buf->start = buf->end = 0;
}
