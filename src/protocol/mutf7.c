#include "protocol/mutf7.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool char_is_direct(gunichar c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* --- Encoding ------------------------------------------------------------------------------ */

struct shift {
	GString *out;
	bool active;
	uint32_t bits;
	unsigned n_bits; /* below 6 between units */
};

static void shift_put(struct shift *shift, uint32_t unit)
{
	shift->bits = shift->bits << 16 | unit;
	shift->n_bits += 16;
	while (shift->n_bits >= 6) {
		shift->n_bits -= 6;
		g_string_append_c(shift->out, digits[shift->bits >> shift->n_bits & 63]);
	}
	shift->bits &= (1u << shift->n_bits) - 1;
}

static void shift_open(struct shift *shift)
{
	if (!shift->active)
		g_string_append_c(shift->out, '&');
	shift->active = true;
}

static void shift_close(struct shift *shift)
{
	if (!shift->active)
		return;
	if (shift->n_bits > 0)
		g_string_append_c(shift->out, digits[shift->bits << (6 - shift->n_bits) & 63]);
	g_string_append_c(shift->out, '-');
	*shift = (struct shift){.out = shift->out};
}

static void encode_char(struct shift *shift, gunichar c)
{
	if (char_is_direct(c)) {
		shift_close(shift);
		g_string_append(shift->out, c == '&' ? "&-" : (char[]){(char)c, 0});
		return;
	}
	shift_open(shift);
	if (c > 0xffff) {
		shift_put(shift, 0xd800 + ((c - 0x10000) >> 10));
		shift_put(shift, 0xdc00 + ((c - 0x10000) & 0x3ff));
	} else {
		shift_put(shift, c);
	}
}

char *mutf7_encode(const char *utf8)
{
	struct shift shift = {.out = g_string_new(NULL)};

	for (const char *p = utf8; *p; p = g_utf8_next_char(p))
		encode_char(&shift, g_utf8_get_char(p));
	shift_close(&shift);
	return g_string_free(shift.out, FALSE);
}

/* --- Decoding ------------------------------------------------------------------------------ */

/* A UTF-16 unit; `*high` is the first half of a pair, or 0. */
static bool decode_unit(GString *out, uint32_t unit, uint32_t *high)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (is_low != (*high != 0) || unit == 0)
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	if (is_low)
		unit = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
	*high = 0;
	g_string_append_unichar(out, unit);
	return true;
}

/* Between "&" and "-". That the last bits are zero is left to the comparison. */
static bool decode_shift(GString *out, const char *text, size_t len)
{
	uint32_t bits = 0;
	uint32_t high = 0;
	unsigned n_bits = 0;

	for (size_t i = 0; i < len; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - digits);
		n_bits += 6;
		if (n_bits < 16)
			continue;
		n_bits -= 16;
		if (!decode_unit(out, bits >> n_bits & 0xffff, &high))
			return false;
		bits &= (1u << n_bits) - 1;
	}
	return high == 0;
}

static bool decode(GString *out, const char *text, size_t len)
{
	const char *end = text + len;
	const char *close;

	for (; text < end; text++) {
		if (!char_is_direct((unsigned char)*text))
			return false;
		if (*text != '&') {
			g_string_append_c(out, *text);
			continue;
		}
		close = memchr(text, '-', (size_t)(end - text));
		if (!close)
			return false;
		if (close == text + 1)
			g_string_append_c(out, '&');
		else if (!decode_shift(out, text + 1, (size_t)(close - text - 1)))
			return false;
		text = close;
	}
	return true;
}

char *mutf7_decode(const char *text, size_t len)
{
	GString *out = g_string_sized_new(len);
	g_autofree char *again = NULL;

	if (decode(out, text, len)) {
		again = mutf7_encode(out->str);
		if (strlen(again) == len && memcmp(again, text, len) == 0)
			return g_string_free(out, FALSE);
	}
	g_string_free(out, TRUE);
	return NULL;
}
