#include "wire_play.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct wire_play {
	const char *path;
	const struct wire_driver *driver;
	void *subject;
	const struct wire_step *step;
	enum wire_cuts cuts;
	GRand *random;
	bool hold; /* "! hold": the next bytes of the server come before ours are written */
};

void wire_fail(const struct wire_play *play, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_printerr("%s:%u: %s\n", play->path, play->step ? play->step->line : 0, text);
	abort();
}

static void play_expect_silence(struct wire_play *play)
{
	size_t len;
	const uint8_t *sent = play->driver->sent(play->subject, &len);
	g_autofree char *shown = NULL;

	if (len == 0)
		return;
	shown = g_strndup((const char *)sent, MIN(len, 300));
	wire_fail(play, "sent, but not in the transcript: %s", shown);
}

static size_t play_cut(struct wire_play *play, size_t left)
{
	if (play->cuts == WIRE_BYTES)
		return MIN(left, 1);
	if (play->cuts == WIRE_RANDOM)
		return (size_t)g_rand_int_range(play->random, 1, (gint32)MIN(left, 200) + 1);
	return left;
}

static void play_server(struct wire_play *play, const GString *bytes)
{
	size_t at = 0;

	if (!play->hold)
		play_expect_silence(play);
	play->hold = false;
	while (at < bytes->len) {
		size_t len = play_cut(play, bytes->len - at);
		/* Memory of its own, so that a byte read beyond it is seen by ASan. */
		g_autofree uint8_t *piece = g_memdup2(bytes->str + at, len);

		play->driver->feed(play->subject, piece, len);
		at += len;
	}
}

static void play_client(struct wire_play *play, const GString *bytes)
{
	size_t len;
	const uint8_t *sent = play->driver->sent(play->subject, &len);

	if (len < bytes->len || memcmp(sent, bytes->str, bytes->len) != 0) {
		g_autofree char *shown = g_strndup((const char *)sent, MIN(len, 300));

		wire_fail(play, "expected: %.300s\nsent:     %s", bytes->str, shown);
	}
	play->driver->take(play->subject, bytes->len);
}

/* All that the server sends up to the next other step; `*i` is then the last of them. */
static GString *play_gather(const GPtrArray *steps, unsigned *i)
{
	GString *bytes = g_string_new(NULL);

	for (;; (*i)++) {
		const struct wire_step *step = g_ptr_array_index(steps, *i);
		const struct wire_step *next = NULL;

		g_string_append_len(bytes, step->bytes->str, (gssize)step->bytes->len);
		if (*i + 1 < steps->len)
			next = g_ptr_array_index(steps, *i + 1);
		if (!next || next->kind != WIRE_SERVER)
			return bytes;
	}
}

static void play_step(struct wire_play *play, const GPtrArray *steps, unsigned *i)
{
	play->step = g_ptr_array_index(steps, *i);
	if (play->step->kind == WIRE_DIRECTIVE && g_str_equal(play->step->bytes->str, "hold")) {
		play->hold = true;
	} else if (play->step->kind == WIRE_DIRECTIVE) {
		play->driver->directive(play->subject, play->step->bytes->str);
	} else if (play->step->kind == WIRE_CLIENT) {
		play_client(play, play->step->bytes);
	} else {
		GString *bytes = play_gather(steps, i);

		play_server(play, bytes);
		g_string_free(bytes, TRUE);
	}
}

void wire_play(const char *path, const struct wire_driver *driver, enum wire_cuts cuts,
	       uint32_t seed)
{
	g_autoptr(GPtrArray) steps = wire_script_load(path);
	struct wire_play play = {.path = path, .driver = driver, .cuts = cuts};

	play.random = g_rand_new_with_seed(seed);
	play.subject = driver->open(&play);
	for (unsigned i = 0; i < steps->len; i++)
		play_step(&play, steps, &i);
	play_expect_silence(&play);
	driver->finish(play.subject);
	driver->close(play.subject);
	g_rand_free(play.random);
}
