/* However the bytes are cut, the same is told and the end is at the same place; and that is what a
 * slow reader of whole lines finds. */
#include "fuzz.h"
#include "protocol/pop3_multi.h"

#include <stdbool.h>

struct decoded {
	GString *text;
	size_t used;
	bool ended;
};

/* `step` 0: in one piece; 1: by bytes; else the lengths of the pieces come from a row of numbers.
 */
static struct decoded decode(const uint8_t *bytes, size_t len, uint32_t step)
{
	struct decoded decoded = {.text = g_string_new(NULL)};
	struct pop3_multi multi = {0};
	uint32_t random = step;

	while (decoded.used < len && !decoded.ended) {
		size_t n = len - decoded.used, done = 0;
		g_autofree char *copy = NULL;

		random = random * 1103515245 + 12345;
		if (step > 0)
			n = MIN(n, step == 1 ? 1 : 1 + (random >> 16) % 13);
		copy = fuzz_copy(bytes + decoded.used, n);
		while (done < n && !decoded.ended) {
			struct pop3_piece piece;
			size_t used = pop3_multi_next(&multi, (const uint8_t *)copy + done,
						      n - done, &piece);

			FUZZ_CHECK(used <= n - done && (used > 0 || piece.len > 0));
			g_string_append_len(decoded.text, (const char *)piece.bytes,
					    (gssize)piece.len);
			decoded.ended = piece.ended;
			done += used;
		}
		decoded.used += done;
	}
	return decoded;
}

/* Lines end by CRLF; a line of a dot is the end. */
static struct decoded decode_lines(const uint8_t *bytes, size_t len)
{
	struct decoded decoded = {.text = g_string_new(NULL)};

	while (decoded.used < len) {
		const uint8_t *line = bytes + decoded.used;
		size_t left = len - decoded.used;
		const uint8_t *crlf = memmem(line, left, "\r\n", 2);
		size_t line_len = crlf ? (size_t)(crlf - line) + 2 : left;

		decoded.used += line_len;
		if (line_len == 3 && memcmp(line, ".\r\n", 3) == 0) {
			decoded.ended = true;
			break;
		}
		/* It may yet become the end. */
		if (line_len == 2 && memcmp(line, ".\r", 2) == 0)
			break;
		if (line[0] == '.') {
			line++;
			line_len--;
		}
		g_string_append_len(decoded.text, (const char *)line, (gssize)line_len);
	}
	return decoded;
}

static void check_same(const struct decoded *a, const struct decoded *b)
{
	FUZZ_CHECK(g_string_equal(a->text, b->text));
	FUZZ_CHECK(a->used == b->used && a->ended == b->ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct decoded expected = decode_lines(bytes, len);

	for (uint32_t step = 0; step <= 3; step++) {
		struct decoded cut = decode(bytes, len, step == 3 ? (uint32_t)len + 3 : step);

		check_same(&expected, &cut);
		g_string_free(cut.text, TRUE);
	}
	g_string_free(expected.text, TRUE);
	return 0;
}
