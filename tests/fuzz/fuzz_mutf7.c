/* Modified UTF-7 is one to one in both directions. */
#include "fuzz.h"
#include "protocol/mutf7.h"

#include <string.h>

static void check_decode(const char *text, size_t len)
{
	g_autofree char *utf8 = mutf7_decode(text, len);
	g_autofree char *again = NULL;

	if (!utf8)
		return;
	FUZZ_CHECK(g_utf8_validate(utf8, -1, NULL));
	again = mutf7_encode(utf8);
	FUZZ_CHECK(strlen(again) == len && memcmp(again, text, len) == 0);
}

static void check_encode(const char *utf8)
{
	g_autofree char *text = mutf7_encode(utf8);
	g_autofree char *again = mutf7_decode(text, strlen(text));

	for (const char *p = text; *p; p++)
		FUZZ_CHECK(g_ascii_isprint(*p));
	FUZZ_CHECK(g_strcmp0(again, utf8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autofree char *exact = fuzz_copy(bytes, len);
	g_autofree char *text = g_strndup((const char *)bytes, len);

	check_decode(exact, len);
	if (g_utf8_validate(text, -1, NULL))
		check_encode(text);
	return 0;
}
