/* However the bytes are cut, the replies are the same; and what they hold is clean. */
#include "base/limits.h"
#include "base/text.h"
#include "fuzz.h"
#include "protocol/smtp_reply.h"

#define TEXT_MAX 500

static void check_clean(const char *text, size_t max)
{
	g_autofree char *clean = text_clean(text, -1, max);

	FUZZ_CHECK(g_str_equal(clean, text));
}

static void check_enhanced(const struct smtp_reply *reply)
{
	const unsigned *enhanced = reply->enhanced;

	if (enhanced[0] == 0) {
		FUZZ_CHECK(enhanced[1] == 0 && enhanced[2] == 0);
		return;
	}
	FUZZ_CHECK(enhanced[0] == smtp_reply_class(reply));
	FUZZ_CHECK(enhanced[1] <= 999 && enhanced[2] <= 999);
}

static void log_reply(GString *log, const struct smtp_reply *reply)
{
	FUZZ_CHECK(reply->code >= 200 && reply->code <= 599);
	FUZZ_CHECK(reply->lines->len > 0 && reply->lines->len <= LIMIT_SMTP_LINES);
	check_clean(reply->text, TEXT_MAX);
	check_enhanced(reply);
	g_string_append_printf(log, "%u %u.%u.%u %s\n", reply->code, reply->enhanced[0],
			       reply->enhanced[1], reply->enhanced[2], reply->text);
	for (unsigned i = 0; i < reply->lines->len; i++) {
		const char *line = g_ptr_array_index(reply->lines, i);

		check_clean(line, LIMIT_SMTP_LINE);
		g_string_append_printf(log, "\t%s\n", line);
	}
}

/* False after an error. */
static bool feed(struct smtp_reply_parser *parser, GString *log, const uint8_t *bytes, size_t len)
{
	g_autofree char *exact = fuzz_copy(bytes, len);
	size_t done = 0;

	while (done < len) {
		struct smtp_reply reply;
		g_autoptr(GError) error = NULL;
		size_t used = 0;
		bool whole = smtp_reply_parser_feed(parser, (const uint8_t *)exact + done,
						    len - done, &used, &reply, &error);

		if (error) {
			FUZZ_CHECK(!whole);
			g_string_append_c(log, 'E');
			return false;
		}
		FUZZ_CHECK(used <= len - done);
		done += used;
		FUZZ_CHECK(smtp_reply_parser_is_empty(parser) == whole);
		FUZZ_CHECK(whole || done == len);
		if (whole) {
			log_reply(log, &reply);
			smtp_reply_clear(&reply);
		}
	}
	return true;
}

/* `step` 0: in one piece; else the lengths of the pieces come from a row of numbers. */
static GString *run_all(const uint8_t *bytes, size_t len, uint32_t step)
{
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	GString *log = g_string_new(NULL);
	uint32_t random = step;

	for (size_t done = 0; done < len;) {
		size_t n = len - done;

		random = random * 1103515245 + 12345;
		if (step > 0)
			n = MIN(n, step == 1 ? 1 : 1 + (random >> 16) % 13);
		if (!feed(parser, log, bytes + done, n))
			break;
		done += n;
	}
	smtp_reply_parser_free(&parser);
	return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	GString *whole = run_all(bytes, len, 0);

	for (uint32_t step = 1; step <= 3; step++) {
		GString *cut = run_all(bytes, len, step == 3 ? (uint32_t)len + 3 : step);

		FUZZ_CHECK(g_string_equal(whole, cut));
		g_string_free(cut, TRUE);
	}
	g_string_free(whole, TRUE);
	return 0;
}
