#include "base/number.h"

#include <glib.h>
#include <string.h>

bool number_parse_u64(const char *text, size_t len, uint64_t *ret)
{
	uint64_t value = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

bool number_parse_u32(const char *text, size_t len, uint32_t *ret)
{
	uint64_t value;

	if (!number_parse_u64(text, len, &value) || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

bool number_parse_hex_u32(const char *text, size_t len, uint32_t *ret)
{
	uint32_t value = 0;

	if (len == 0 || len > 8)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!g_ascii_isxdigit(text[i]))
			return false;
		value = value << 4 | (uint32_t)g_ascii_xdigit_value(text[i]);
	}
	*ret = value;
	return true;
}

struct unit {
	char letter;
	uint64_t factor;
};

/* Digits and at most one letter of `units`, which ends with a letter of NUL. */
static bool number_parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
	size_t len = strlen(text);
	uint64_t factor = 1;
	uint64_t value;

	for (const struct unit *unit = units; len > 0 && unit->letter; unit++) {
		if (text[len - 1] == unit->letter) {
			factor = unit->factor;
			len--;
			break;
		}
	}
	if (!number_parse_u64(text, len, &value) || __builtin_mul_overflow(value, factor, &value))
		return false;
	*ret = value;
	return true;
}

bool number_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{'k', 1ull << 10}, {'K', 1ull << 10}, {'m', 1ull << 20},
		{'M', 1ull << 20}, {'g', 1ull << 30}, {'G', 1ull << 30},
		{'t', 1ull << 40}, {'T', 1ull << 40}, {0},
	};

	return number_parse_with_unit(text, units, ret_bytes);
}

bool number_parse_seconds(const char *text, uint32_t *ret_s)
{
	static const struct unit units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {0}};
	uint64_t value;

	if (!number_parse_with_unit(text, units, &value) || value > UINT32_MAX)
		return false;
	*ret_s = (uint32_t)value;
	return true;
}
