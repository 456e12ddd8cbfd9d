#include "engine/label.h"

#include "base/text.h"

#include <gmime/gmime.h>
#include <stdbool.h>
#include <string.h>

enum {
	SUBJECT_MAX_BYTES = 4096, /* more cannot show, and decoding is not free */
	MARKS_MAX = 4,		  /* on one letter; more only paint over the neighbours */
};

struct writer {
	GString *out;
	bool gap;	/* something was left out since the last character */
	unsigned marks; /* that may still follow the last character */
};

void label_init(void)
{
	g_mime_init();
}

static bool is_plain(const char *text)
{
	for (const char *c = text; *c; c++) {
		if ((*c < 0x20 && !g_ascii_isspace(*c)) || *c > 0x7e)
			return false;
	}
	return true;
}

/* UTF-8, of any form. */
static char *subject_decode(const char *raw)
{
	if (!strstr(raw, "=?") && g_utf8_validate(raw, -1, NULL))
		return g_strdup(raw);
	g_autofree char *text = g_mime_utils_header_decode_text(NULL, raw);

	return g_utf8_make_valid(text ? text : "", -1);
}

/* Variation selectors are marks that nobody sees. */
static bool is_seen(gunichar c)
{
	return !text_char_is_hostile(c) && !(c >= 0xfe00 && c <= 0xfe0f) &&
	       !(c >= 0x180b && c <= 0x180f);
}

static bool is_kept(gunichar c)
{
	if (c < 0x80)
		return g_ascii_isalnum((char)c) || strchr("_+=@", (int)c) != NULL;
	return is_seen(c) && g_unichar_isalnum(c);
}

/* False if there is no room. */
static bool write_char(struct writer *writer, gunichar c)
{
	char bytes[6];
	int len = g_unichar_to_utf8(c, bytes);
	gsize dash = writer->gap && writer->out->len > 0 ? 1 : 0;

	if (writer->out->len + dash + (gsize)len > LABEL_MAX_BYTES)
		return false;
	if (dash)
		g_string_append_c(writer->out, '-');
	g_string_append_len(writer->out, bytes, len);
	writer->gap = false;
	return true;
}

/* False at the end of the room. */
static bool take_char(struct writer *writer, gunichar c)
{
	if (c >= 0x80 && is_seen(c) && g_unichar_ismark(c) && writer->marks > 0) {
		writer->marks--;
		return write_char(writer, c);
	}
	if (is_kept(c)) {
		writer->marks = g_unichar_isalpha(c) ? MARKS_MAX : 0;
		return write_char(writer, c);
	}
	writer->gap = true;
	writer->marks = 0;
	return true;
}

static char *label_from_text(const char *text)
{
	struct writer writer = {.out = g_string_sized_new(LABEL_MAX_BYTES)};

	while (*text && take_char(&writer, g_utf8_get_char(text)))
		text = g_utf8_next_char(text);
	return g_string_free(writer.out, FALSE);
}

char *label_from_subject(const char *subject)
{
	g_autofree char *raw = g_strndup(subject ? subject : "", SUBJECT_MAX_BYTES);

	if (is_plain(raw) && !strstr(raw, "=?"))
		return label_from_text(raw);
	g_autofree char *text = subject_decode(raw);
	/* Before it is filtered: composing later could join what the filter kept apart. */
	g_autofree char *composed = g_utf8_normalize(text, -1, G_NORMALIZE_NFC);

	return label_from_text(composed ? composed : "");
}
