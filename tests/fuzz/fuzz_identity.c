/* What is kept of a header is one line a field, in order, and does not change when it is read
 * again. */
#include "base/limits.h"
#include "fuzz.h"
#include "store/identity.h"

#include <string.h>

static void check_line(const char *line)
{
	const char *colon = strchr(line, ':');

	FUZZ_CHECK(colon && colon[1] != '\0' && colon[1] != ' ');
	FUZZ_CHECK(strlen(colon + 1) <= LIMIT_IDENTITY_VALUE);
	FUZZ_CHECK(line[strlen(line) - 1] != ' ' && !strstr(colon, "  ") && !strpbrk(line, "\r\t"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autofree char *copy = fuzz_copy(bytes, len);
	g_autofree char *fields = store_identity_fields(copy, len);
	g_autofree char *again = store_identity_fields(fields, strlen(fields));
	g_auto(GStrv) lines = g_strsplit(fields, "\n", -1);

	FUZZ_CHECK(g_str_equal(fields, again));
	FUZZ_CHECK(g_strv_length(lines) <= 6);
	for (unsigned i = 0; lines[i] && lines[i + 1]; i++)
		check_line(lines[i]);
	return 0;
}
