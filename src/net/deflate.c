#include "net/deflate.h"

#include "base/error.h"
#include "base/limits.h"

#include <zlib.h>

/* Bytes that are compressed at a time: each piece ends so that the server can read it whole. */
#define PIECE (16 * 1024)
/* Raw DEFLATE, without zlib's header (RFC 4978 section 4). */
#define RAW_WINDOW_BITS (-15)
#define MEMORY_LEVEL 8

struct deflate {
	char *peer;

	z_stream in;
	GByteArray *fed;
	bool full; /* the last read filled its room: there may be more */
	bool ended;
	uint64_t in_bytes, out_bytes; /* zlib's own counts have 32 bits on some machines */

	z_stream out;
	uint8_t *piece;
	size_t piece_max;
	size_t piece_at, piece_len;
	size_t taken; /* bytes offered that the piece stands for; 0: there is none */
};

struct deflate *deflate_new(const char *peer, GError **error)
{
	struct deflate *stream = g_new0(struct deflate, 1);

	stream->peer = g_strdup(peer);
	stream->fed = g_byte_array_new();
	if (inflateInit2(&stream->in, RAW_WINDOW_BITS) == Z_OK &&
	    deflateInit2(&stream->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW_WINDOW_BITS,
			 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK) {
		/* The bound is that of one whole stream; a flush adds an empty block. */
		stream->piece_max = deflateBound(&stream->out, PIECE) + 64;
		stream->piece = g_malloc(stream->piece_max);
		return stream;
	}
	g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot set up compression");
	deflate_free(&stream);
	return NULL;
}

void deflate_free(struct deflate **stream)
{
	struct deflate *old = *stream;

	if (!old)
		return;
	*stream = NULL;
	inflateEnd(&old->in);
	deflateEnd(&old->out);
	g_byte_array_unref(old->fed);
	g_free(old->piece);
	g_free(old->peer);
	g_free(old);
}

/* --- what comes --- */

void deflate_feed(struct deflate *stream, const void *bytes, size_t len)
{
	g_return_if_fail(stream->in.avail_in == 0);
	g_byte_array_set_size(stream->fed, 0);
	g_byte_array_append(stream->fed, bytes, (guint)len);
	stream->in.next_in = stream->fed->data;
	stream->in.avail_in = (uInt)len;
}

bool deflate_pending(const struct deflate *stream)
{
	return stream->full || stream->in.avail_in > 0;
}

static bool fail(const struct deflate *stream, enum mailfs_error code, const char *what,
		 GError **error)
{
	g_set_error(error, MAILFS_ERROR, (int)code,
		    "what %s sends compressed %s (compress=off does without)", stream->peer, what);
	return false;
}

static bool is_sane(const struct deflate *stream, int result, GError **error)
{
	/* Z_BUF_ERROR: it could do nothing, as it has no input. */
	if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
		return fail(stream, ERROR_PROTOCOL, "is damaged", error);
	if (stream->ended && stream->in.avail_in > 0)
		return fail(stream, ERROR_PROTOCOL, "goes on behind its end", error);
	if (stream->out_bytes > LIMIT_INFLATE_BYTES &&
	    stream->out_bytes / LIMIT_INFLATE_RATIO > stream->in_bytes)
		return fail(stream, ERROR_LIMIT, "grows too much", error);
	return true;
}

ssize_t deflate_read(struct deflate *stream, void *bytes, size_t max, GError **error)
{
	z_stream *in = &stream->in;
	const uInt room = (uInt)MIN(max, G_MAXINT), fed = in->avail_in;
	int result = Z_BUF_ERROR;

	in->next_out = bytes;
	in->avail_out = room;
	if (!stream->ended)
		result = inflate(in, Z_SYNC_FLUSH);
	stream->ended |= result == Z_STREAM_END;
	stream->full = !stream->ended && in->avail_out == 0;
	stream->in_bytes += fed - in->avail_in;
	stream->out_bytes += room - in->avail_out;
	if (!is_sane(stream, result, error))
		return -1;
	return (ssize_t)(room - in->avail_out);
}

/* --- what goes --- */

static void compress_piece(struct deflate *stream, const void *bytes, size_t len)
{
	z_stream *out = &stream->out;

	out->next_in = (Bytef *)bytes;
	out->avail_in = (uInt)len;
	out->next_out = stream->piece;
	out->avail_out = (uInt)stream->piece_max;
	/* With room to spare it takes all, and cannot fail. */
	if (deflate(out, Z_SYNC_FLUSH) != Z_OK || out->avail_in > 0 || out->avail_out == 0)
		g_error("zlib does not keep its own bounds");
	stream->piece_at = 0;
	stream->piece_len = stream->piece_max - out->avail_out;
	stream->taken = len;
}

const uint8_t *deflate_write(struct deflate *stream, const void *bytes, size_t len, size_t *ret_len)
{
	if (stream->taken == 0)
		compress_piece(stream, bytes, MIN(len, PIECE));
	*ret_len = stream->piece_len - stream->piece_at;
	return stream->piece + stream->piece_at;
}

size_t deflate_sent(struct deflate *stream, size_t len)
{
	size_t taken = stream->taken;

	stream->piece_at += len;
	if (stream->piece_at < stream->piece_len)
		return 0;
	stream->taken = 0;
	return taken;
}
