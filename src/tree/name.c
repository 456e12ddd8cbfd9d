#include "tree/name.h"

#include "base/number.h"
#include "base/text.h"
#include "protocol/mutf7.h"

#include <string.h>

#define SUFFIX ".eml"
#define SUFFIX_LEN 4
#define PARTS ".d"
#define PARTS_LEN 2
#define EMPTY "%00"
#define MARK "%~"
#define MARK_LEN 2
#define CUT_BYTES 240
#define HASH_CHARS 10

static bool ends_in_suffix(const char *text, size_t len)
{
	return len >= SUFFIX_LEN && memcmp(text + len - SUFFIX_LEN, SUFFIX, SUFFIX_LEN) == 0;
}

/* A dot that would make it a hidden name, `.`, `..` or a message's name. */
static bool is_special_dot(const char *text, size_t len, size_t at)
{
	return text[at] == '.' &&
	       (at == 0 || (at + SUFFIX_LEN == len && ends_in_suffix(text, len)));
}

static void append_escaped(GString *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		g_string_append_printf(out, "%%%02X", (unsigned char)bytes[i]);
}

/* Appends `text`; `*keep` becomes the longest length that can be cut to. */
static void append_text(GString *out, const char *text, bool ampersand, size_t *keep)
{
	size_t len = strlen(text);

	for (size_t at = 0, step; at < len; at += step) {
		gunichar c = g_utf8_get_char_validated(text + at, (gssize)(len - at));
		bool valid = c < (gunichar)-2;

		step = valid ? (size_t)(g_utf8_next_char(text + at) - (text + at)) : 1;
		if (!valid || c == '%' || c == '/' || (c == '&' && ampersand) ||
		    text_char_is_hostile(c) || is_special_dot(text, len, at))
			append_escaped(out, text + at, step);
		else
			g_string_append_len(out, text + at, (gssize)step);
		if (out->len <= CUT_BYTES)
			*keep = out->len;
	}
}

static void append_hash(GString *out, const char *raw)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t digest[32];
	gsize len = sizeof(digest);
	uint64_t bits = 0;

	g_checksum_update(sum, (const guchar *)raw, (gssize)strlen(raw));
	g_checksum_get_digest(sum, digest, &len);
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | digest[i];
	for (int i = 0; i < HASH_CHARS; i++)
		g_string_append_c(out, alphabet[bits >> (59 - 5 * i) & 31]);
}

char *name_from_raw(const char *raw, bool at_root)
{
	g_autofree char *decoded = mutf7_decode(raw, strlen(raw));
	g_autoptr(GString) out = g_string_new(NULL);
	size_t keep = 0;

	if (*raw == '\0')
		return g_strdup(EMPTY);
	if (at_root && strcmp(raw, "outbox") == 0)
		return g_strdup("%6Futbox");
	/* Bytes without '&' could look like the decoded form of another component. */
	if (decoded == NULL && strchr(raw, '&') == NULL)
		g_string_append(out, MARK);
	append_text(out, decoded != NULL ? decoded : raw, decoded == NULL, &keep);
	if (out->len > NAME_MAX_BYTES) {
		g_string_truncate(out, keep);
		g_string_append(out, MARK);
		append_hash(out, raw);
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

/* Lenient: the caller escapes the result again and compares. */
static char *unescape(const char *name)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (const char *p = name; *p != '\0'; p++) {
		int high, low;

		if (*p != '%') {
			g_string_append_c(out, *p);
			continue;
		}
		high = g_ascii_xdigit_value(p[1]);
		low = high < 0 ? -1 : g_ascii_xdigit_value(p[2]);
		if (low < 0 || (high == 0 && low == 0))
			return NULL;
		g_string_append_c(out, (char)(high << 4 | low));
		p += 2;
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *raw_candidate(const char *name)
{
	bool marked = g_str_has_prefix(name, MARK);
	g_autofree char *text = unescape(name + (marked ? MARK_LEN : 0));

	if (text == NULL)
		return NULL;
	if (marked || strstr(name, "%26") != NULL)
		return g_steal_pointer(&text);
	return g_utf8_validate(text, -1, NULL) ? mutf7_encode(text) : NULL;
}

char *name_to_raw(const char *name, bool at_root)
{
	g_autofree char *raw = NULL, *again = NULL;

	if (strcmp(name, EMPTY) == 0)
		return g_strdup("");
	raw = raw_candidate(name);
	if (raw == NULL)
		return NULL;
	again = name_from_raw(raw, at_root);
	return strcmp(again, name) == 0 ? g_steal_pointer(&raw) : NULL;
}

bool name_is_cut(const char *name)
{
	size_t len = strlen(name);

	return len > MARK_LEN + HASH_CHARS && len <= NAME_MAX_BYTES &&
	       memcmp(name + len - HASH_CHARS - MARK_LEN, MARK, MARK_LEN) == 0;
}

bool name_is_message_like(const char *name)
{
	return ends_in_suffix(name, strlen(name));
}

bool name_parse_message(const char *name, uint32_t *ret_uid)
{
	size_t len = strlen(name), digits = strspn(name, "0123456789");

	/* At least ".eml", or "." LABEL ".eml" with a label of one byte, behind the digits. */
	if (!ends_in_suffix(name, len) || name[0] == '0' || name[digits] != '.')
		return false;
	if (len - digits != SUFFIX_LEN && len - digits < SUFFIX_LEN + 2)
		return false;
	return number_parse_u32(name, digits, ret_uid);
}

char *name_of_whole(const char *name)
{
	size_t len = strlen(name), digits = strspn(name, "0123456789");

	if (len <= PARTS_LEN || memcmp(name + len - PARTS_LEN, PARTS, PARTS_LEN) != 0)
		return NULL;
	len -= PARTS_LEN;
	if (digits == len)
		return g_strdup_printf("%.*s" SUFFIX, (int)len, name);
	return ends_in_suffix(name, len) ? g_strndup(name, len) : NULL;
}

char *name_of_message(uint32_t uid, const char *label)
{
	return g_strdup_printf("%u.%s" SUFFIX, uid, label);
}
