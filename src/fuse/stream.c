#include "fuse/stream.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>

#define NS_PER_S 1000000000

struct stream {
	uint32_t number;
	GString *text;		      /* that waits */
	unsigned lost;		      /* lines since */
	int64_t lost_ns;	      /* the last of them */
	struct fuse_pollhandle *poll; /* NULL: nobody does */
};

struct streams {
	pthread_mutex_t mutex;
	stream_ready_fn ready;
	void *data;
	uint32_t last_number;
	GPtrArray *readers; /* of struct stream */
};

struct streams *streams_new(stream_ready_fn ready, void *data)
{
	struct streams *streams = g_new0(struct streams, 1);

	pthread_mutex_init(&streams->mutex, NULL);
	streams->ready = ready;
	streams->data = data;
	streams->readers = g_ptr_array_new();
	return streams;
}

void streams_free(struct streams **streams)
{
	if (!*streams)
		return;
	g_ptr_array_unref((*streams)->readers);
	pthread_mutex_destroy(&(*streams)->mutex);
	g_clear_pointer(streams, g_free);
}

/* --- lines --- */

static void append_field(GString *line, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f || c == '\\')
			g_string_append_printf(line, "\\%03o", c);
		else
			g_string_append_c(line, (char)c);
	}
}

static GString *line_new(int64_t now_ns, const char *kind, const char *path, const char *more)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(now_ns / NS_PER_S);
	g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : NULL;
	GString *line = g_string_new(text);

	g_string_append_printf(line, ".%03dZ\t%s\t", (int)(now_ns / 1000000 % 1000), kind);
	append_field(line, path);
	if (more) {
		g_string_append_c(line, '\t');
		append_field(line, more);
	}
	g_string_append_c(line, '\n');
	return line;
}

/* --- with the mutex held --- */

/* What was lost is told where it is missing. */
static void tell_lost_locked(struct stream *stream)
{
	char number[16];
	GString *line;

	g_snprintf(number, sizeof(number), "%u", stream->lost);
	line = line_new(stream->lost_ns, "lost", number, NULL);
	g_string_append_len(stream->text, line->str, (gssize)line->len);
	g_string_free(line, TRUE);
	stream->lost = 0;
}

static void append_locked(struct stream *stream, const GString *line, int64_t now_ns)
{
	/* Once lines were lost, those behind them are too until the reader has caught up. */
	if (stream->lost > 0 || line->len > STREAM_BYTES - stream->text->len) {
		stream->lost++;
		stream->lost_ns = now_ns;
		return;
	}
	g_string_append_len(stream->text, line->str, (gssize)line->len);
}

static bool is_ready_locked(const struct stream *stream)
{
	return stream->text->len > 0 || stream->lost > 0;
}

/* --- readers --- */

struct stream *stream_open(struct streams *streams)
{
	struct stream *stream = NULL;

	pthread_mutex_lock(&streams->mutex);
	if (streams->readers->len < STREAM_READERS) {
		stream = g_new0(struct stream, 1);
		if (++streams->last_number == 0)
			streams->last_number = 1;
		stream->number = streams->last_number;
		stream->text = g_string_new(NULL);
		g_ptr_array_add(streams->readers, stream);
	}
	pthread_mutex_unlock(&streams->mutex);
	return stream;
}

void stream_close(struct streams *streams, struct stream **stream)
{
	struct stream *old = *stream;

	*stream = NULL;
	if (!old)
		return;
	pthread_mutex_lock(&streams->mutex);
	g_ptr_array_remove_fast(streams->readers, old);
	pthread_mutex_unlock(&streams->mutex);
	/* Who polled is gone: nothing is to be told, but it must be destroyed. */
	if (old->poll)
		streams->ready(streams->data, old->number, old->poll);
	g_string_free(old->text, TRUE);
	g_free(old);
}

uint32_t stream_number(const struct stream *stream)
{
	return stream->number;
}

size_t stream_read(struct streams *streams, struct stream *stream, char *buffer, size_t size)
{
	size_t len;

	pthread_mutex_lock(&streams->mutex);
	if (stream->text->len == 0 && stream->lost > 0)
		tell_lost_locked(stream);
	len = MIN(size, stream->text->len);
	memcpy(buffer, stream->text->str, len);
	g_string_erase(stream->text, 0, (gssize)len);
	pthread_mutex_unlock(&streams->mutex);
	return len;
}

bool stream_poll(struct streams *streams, struct stream *stream, struct fuse_pollhandle *handle,
		 struct fuse_pollhandle **ret_old)
{
	bool ready;

	pthread_mutex_lock(&streams->mutex);
	ready = is_ready_locked(stream);
	*ret_old = handle ? stream->poll : NULL;
	if (handle)
		stream->poll = handle;
	pthread_mutex_unlock(&streams->mutex);
	return ready;
}

bool streams_are_ready(struct streams *streams, uint32_t reader)
{
	bool ready = false;

	pthread_mutex_lock(&streams->mutex);
	for (guint i = 0; i < streams->readers->len && !ready; i++) {
		const struct stream *stream = g_ptr_array_index(streams->readers, i);

		ready = stream->number == reader && is_ready_locked(stream);
	}
	pthread_mutex_unlock(&streams->mutex);
	return ready;
}

/* --- telling --- */

bool streams_are_open(struct streams *streams)
{
	bool open;

	pthread_mutex_lock(&streams->mutex);
	open = streams->readers->len > 0;
	pthread_mutex_unlock(&streams->mutex);
	return open;
}

struct told {
	uint32_t reader;
	struct fuse_pollhandle *poll;
};

void streams_tell(struct streams *streams, int64_t now_ns, const char *kind, const char *path,
		  const char *more)
{
	GString *line = line_new(now_ns, kind, path, more);
	struct told told[STREAM_READERS];
	guint count;

	pthread_mutex_lock(&streams->mutex);
	count = streams->readers->len;
	for (guint i = 0; i < count; i++) {
		struct stream *stream = g_ptr_array_index(streams->readers, i);

		append_locked(stream, line, now_ns);
		told[i] = (struct told){stream->number, stream->poll};
		stream->poll = NULL;
	}
	pthread_mutex_unlock(&streams->mutex);
	for (guint i = 0; i < count; i++)
		streams->ready(streams->data, told[i].reader, told[i].poll);
	g_string_free(line, TRUE);
}
