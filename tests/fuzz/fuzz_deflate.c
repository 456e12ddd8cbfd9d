/* However what comes is cut, it inflates to the same, or fails; and nobody waits for bytes that
 * were there. */
#include "fuzz.h"
#include "net/deflate.h"

#include <stdbool.h>

#define OUT_MAX (1024 * 1024)

/* Fed by `step` bytes and read by `max`; at the end "!" if it failed, else ".". */
static GString *run_all(const uint8_t *bytes, size_t len, size_t step, size_t max)
{
	struct deflate *stream = deflate_new("fuzz", NULL);
	GString *out = g_string_new(NULL);
	g_autofree char *room = g_malloc(max);
	ssize_t n = 0;

	for (size_t at = 0; at < len && n >= 0 && out->len < OUT_MAX; at += step) {
		g_autofree char *exact = fuzz_copy(bytes + at, MIN(step, len - at));
		g_autoptr(GError) error = NULL;

		deflate_feed(stream, exact, MIN(step, len - at));
		while ((n = deflate_read(stream, room, max, &error)) > 0) {
			FUZZ_CHECK((size_t)n <= max);
			g_string_append_len(out, room, n);
		}
		FUZZ_CHECK((n < 0) == (error != NULL));
		FUZZ_CHECK(n < 0 || !deflate_pending(stream));
	}
	g_string_append_c(out, n < 0 ? '!' : '.');
	deflate_free(&stream);
	return out;
}

static bool failed(const GString *run)
{
	return run->str[run->len - 1] == '!';
}

static void compare(const GString *whole, const GString *cut)
{
	FUZZ_CHECK(failed(whole) == failed(cut));
	if (failed(whole))
		FUZZ_CHECK(memcmp(whole->str, cut->str, MIN(whole->len, cut->len) - 1) == 0);
	else
		FUZZ_CHECK(g_string_equal(whole, cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	GString *whole = run_all(bytes, len, MAX(len, 1), OUT_MAX);
	GString *by_byte = run_all(bytes, len, 1, 13);
	GString *by_some = run_all(bytes, len, 7, 4096);

	if (whole->len < OUT_MAX) {
		compare(whole, by_byte);
		compare(whole, by_some);
	}
	g_string_free(whole, TRUE);
	g_string_free(by_byte, TRUE);
	g_string_free(by_some, TRUE);
	return 0;
}
