/* Text that came from a server, made fit for a terminal, a log or a file. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* One line of valid UTF-8 of at most `max` bytes: C0, DEL, C1, bidi controls and invalid bytes
 * become "\xNN"; a cut text ends in "...". `len` -1: NUL-terminated. Free with g_free(). */
char *text_clean(const char *text, gssize len, size_t max);

/* True for characters that may harm a terminal or fool a reader: controls, bidi marks and
 * overrides, line and paragraph separators, zero-width and tag characters, non-characters. */
bool text_char_is_hostile(gunichar c);

/* Valid UTF-8 without such characters. */
bool text_is_visible(const char *text);
