#include "base/text.h"

#include <string.h>

struct range {
	gunichar first;
	gunichar last;
};

/* Sorted. Zero-width joiners have honest uses in some scripts, but nobody can see them in a file
 * name or a log, so they count as hostile too. */
static const struct range hostile[] = {
	{0x0000, 0x001f},   /* C0 */
	{0x007f, 0x009f},   /* DEL and C1 */
	{0x00ad, 0x00ad},   /* soft hyphen */
	{0x034f, 0x034f},   /* combining grapheme joiner */
	{0x061c, 0x061c},   /* Arabic letter mark */
	{0x115f, 0x1160},   /* Hangul fillers */
	{0x17b4, 0x17b5},   /* invisible Khmer vowels */
	{0x180e, 0x180e},   /* Mongolian vowel separator */
	{0x200b, 0x200f},   /* zero width, bidi marks */
	{0x2028, 0x202e},   /* separators, bidi overrides */
	{0x2060, 0x206f},   /* invisible operators, bidi isolates */
	{0x3164, 0x3164},   /* Hangul filler */
	{0xd800, 0xdfff},   /* surrogates */
	{0xfdd0, 0xfdef},   /* non-characters */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xffa0, 0xffa0},   /* half-width Hangul filler */
	{0xfff9, 0xfffb},   /* interlinear annotations */
	{0xe0000, 0xe0fff}, /* tags */
};

bool text_char_is_hostile(gunichar c)
{
	size_t low = 0;
	size_t high = G_N_ELEMENTS(hostile);

	if (c > 0x10ffff || (c & 0xfffe) == 0xfffe)
		return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c > hostile[middle].last)
			low = middle + 1;
		else if (c < hostile[middle].first)
			high = middle;
		else
			return true;
	}
	return false;
}

/* The length of the first character of `text`; `*ret_clean` tells whether it may stay. */
static size_t text_next(const char *text, size_t len, bool *ret_clean)
{
	gunichar c;
	size_t used;

	*ret_clean = false;
	if (*text == '\0')
		return 1;
	c = g_utf8_get_char_validated(text, (gssize)MIN(len, 6));
	if (c == (gunichar)-1 || c == (gunichar)-2)
		return 1;
	used = (size_t)g_unichar_to_utf8(c, NULL);
	*ret_clean = !text_char_is_hostile(c);
	return used;
}

static void text_append_hex(GString *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		g_string_append_printf(out, "\\x%02X", (unsigned char)bytes[i]);
}

char *text_clean(const char *text, gssize len, size_t max)
{
	static const char dots[] = "...";
	size_t dots_len = MIN(max, sizeof(dots) - 1);
	size_t left = len < 0 ? strlen(text) : (size_t)len;
	GString *out = g_string_sized_new(MIN(left, max));
	size_t cut = 0; /* the longest prefix that leaves room for the dots */

	while (left > 0) {
		bool clean;
		size_t used = text_next(text, left, &clean);

		if (clean)
			g_string_append_len(out, text, (gssize)used);
		else
			text_append_hex(out, text, used);
		if (out->len > max) {
			g_string_truncate(out, cut);
			g_string_append_len(out, dots, (gssize)dots_len);
			break;
		}
		if (out->len <= max - dots_len)
			cut = out->len;
		text += used;
		left -= used;
	}
	return g_string_free(out, FALSE);
}

bool text_is_visible(const char *text)
{
	if (!g_utf8_validate(text, -1, NULL))
		return false;
	for (; *text; text = g_utf8_next_char(text)) {
		if (text_char_is_hostile(g_utf8_get_char(text)))
			return false;
	}
	return true;
}
