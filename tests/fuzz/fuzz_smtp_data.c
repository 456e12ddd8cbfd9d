/* However the text is cut, the same is sent; nothing in it ends DATA; and a server that takes the
 * dots away has the lines of the text. */
#include "fuzz.h"
#include "protocol/smtp_data.h"

/* `step` 0: in one piece; else the lengths of the pieces come from a row of numbers. */
static GString *encode(const uint8_t *bytes, size_t len, uint32_t step)
{
	g_autofree char *exact = fuzz_copy(bytes, len);
	struct smtp_data data = {0};
	uint32_t random = step;
	struct buf out;
	GString *sent;

	buf_init(&out, 2 * len + 2);
	for (size_t done = 0; done < len;) {
		size_t before = buf_len(&out);
		size_t n = len - done;

		random = random * 1103515245 + 12345;
		if (step > 0)
			n = MIN(n, step == 1 ? 1 : 1 + (random >> 16) % 13);
		smtp_data_encode(&data, (const uint8_t *)exact + done, n, &out);
		FUZZ_CHECK(buf_len(&out) - before <= 2 * n + 2);
		done += n;
	}
	smtp_data_end(&data, &out);
	sent = g_string_new_len((const char *)buf_data(&out), (gssize)buf_len(&out));
	buf_clear(&out);
	return sent;
}

/* As a server does it that knows CRLF alone. */
static void append_decoded(GString *out, const GString *sent)
{
	size_t at = 0;

	while (at < sent->len) {
		const char *line = sent->str + at;
		const char *end = memchr(line, '\r', sent->len - at);
		size_t len;

		FUZZ_CHECK(end && end[1] == '\n');
		len = (size_t)(end - line);
		FUZZ_CHECK(!memchr(line, '\n', len));
		at += len + 2;
		if (len > 0 && line[0] == '.') {
			FUZZ_CHECK(len > 1 && line[1] == '.');
			line++;
			len--;
		}
		g_string_append_len(out, line, (gssize)len);
		g_string_append_c(out, '\n');
	}
}

static void append_lines(GString *out, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\r' && i + 1 < len && bytes[i + 1] == '\n')
			continue;
		g_string_append_c(out, bytes[i] == '\r' ? '\n' : (char)bytes[i]);
	}
	if (out->len > 0 && out->str[out->len - 1] != '\n')
		g_string_append_c(out, '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	GString *whole = encode(bytes, len, 0);
	GString *expected = g_string_new(NULL);
	GString *decoded = g_string_new(NULL);

	append_lines(expected, bytes, len);
	append_decoded(decoded, whole);
	FUZZ_CHECK(g_string_equal(expected, decoded));
	for (uint32_t step = 1; step <= 3; step++) {
		GString *cut = encode(bytes, len, step == 3 ? (uint32_t)len + 3 : step);

		FUZZ_CHECK(g_string_equal(whole, cut));
		g_string_free(cut, TRUE);
	}
	g_string_free(whole, TRUE);
	g_string_free(expected, TRUE);
	g_string_free(decoded, TRUE);
	return 0;
}
