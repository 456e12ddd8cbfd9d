/* However the bytes are cut, the frames and what the grammar makes of them are the same. */
#include "base/error.h"
#include "fuzz.h"
#include "protocol/imap_frame.h"
#include "protocol/imap_response.h"

#include <string.h>

#define MAX_LINE 1000

struct run {
	struct imap_frame frame;
	GString *log;
	uint64_t body_left;
};

static void log_response(struct run *run)
{
	const char *text = (const char *)buf_data(&run->frame.text);
	size_t len = buf_len(&run->frame.text);
	struct imap_response response;
	g_autoptr(GError) error = NULL;

	FUZZ_CHECK(run->body_left == 0);
	g_string_append_c(run->log, 'R');
	g_string_append_len(run->log, text, (gssize)len);
	if (!imap_response_parse(text, len, run->frame.body_size, &response, &error)) {
		FUZZ_CHECK(error);
		g_string_append_printf(run->log, "!%s\n", error->message);
		return;
	}
	/* whatever was handed out is known to the grammar */
	FUZZ_CHECK(response.fetch.body_streamed == run->frame.body_seen);
	g_string_append_printf(run->log, "=%d %d %u %u\n", response.kind, response.data,
			       response.fetch.items, response.fetch.uid);
	imap_response_clear(&response);
}

static void log_body(struct run *run)
{
	const char *text = (const char *)buf_data(&run->frame.text);
	size_t len = buf_len(&run->frame.text);
	uint64_t origin;
	uint32_t uid = imap_response_peek_body(text, len, &origin);

	FUZZ_CHECK(run->body_left == 0);
	run->body_left = run->frame.body_size;
	g_string_append_printf(run->log, "B%" G_GUINT64_FORMAT " %u %" G_GUINT64_FORMAT "\n",
			       run->frame.body_size, uid, origin);
}

static bool log_event(struct run *run, enum imap_frame_event event)
{
	switch (event) {
	case IMAP_FRAME_RESPONSE:
		log_response(run);
		return true;
	case IMAP_FRAME_BODY:
		log_body(run);
		return true;
	case IMAP_FRAME_DATA:
		FUZZ_CHECK(run->frame.data_len > 0 && run->frame.data_len <= run->body_left);
		run->body_left -= run->frame.data_len;
		g_string_append_len(run->log, (const char *)run->frame.data,
				    (gssize)run->frame.data_len);
		return true;
	case IMAP_FRAME_ERROR:
		g_string_append_c(run->log, 'E');
		return false;
	case IMAP_FRAME_MORE:
		break;
	}
	return true;
}

static bool run_feed(struct run *run, const uint8_t *bytes, size_t len)
{
	g_autofree char *exact = fuzz_copy(bytes, len);
	size_t done = 0;

	while (done < len) {
		g_autoptr(GError) error = NULL;
		size_t used = 0;
		enum imap_frame_event event = imap_frame_feed(
			&run->frame, (const uint8_t *)exact + done, len - done, &used, &error);
		FUZZ_CHECK(used <= len - done);
		FUZZ_CHECK((event == IMAP_FRAME_ERROR) == (error != NULL));
		done += used;
		FUZZ_CHECK(event != IMAP_FRAME_MORE || done == len);
		if (!log_event(run, event))
			return false;
	}
	return true;
}

/* `step` 0: in one piece; else the lengths of the pieces come from a row of numbers. */
static GString *run_all(const uint8_t *bytes, size_t len, uint32_t step)
{
	struct run run = {.log = g_string_new(NULL)};
	uint32_t random = step;

	imap_frame_init(&run.frame, MAX_LINE);
	for (size_t done = 0; done < len;) {
		size_t n = len - done;
		random = random * 1103515245 + 12345;
		if (step > 0)
			n = MIN(n, step == 1 ? 1 : 1 + (random >> 16) % 13);
		if (!run_feed(&run, bytes + done, n))
			break;
		done += n;
	}
	imap_frame_clear(&run.frame);
	return run.log;
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
