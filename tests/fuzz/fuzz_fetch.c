/* FETCH responses, from the bytes to the items: what is inside the parentheses is arbitrary. A
 * streamed body is announced once, arrives whole, and belongs to the response behind it. */
#include "base/error.h"
#include "base/limits.h"
#include "fuzz.h"
#include "protocol/imap_frame.h"
#include "protocol/imap_response.h"

struct run {
	struct imap_frame frame;
	bool streamed;
	uint64_t received;
};

static void check_items(const struct run *run, const struct imap_fetch *fetch)
{
	FUZZ_CHECK(!(fetch->items & IMAP_FETCH_UID) == (fetch->uid == 0));
	FUZZ_CHECK(fetch->size <= G_MAXINT64 || (fetch->items & IMAP_FETCH_SIZE));
	if (!fetch->body_streamed)
		return;
	FUZZ_CHECK(run->streamed && run->received == run->frame.body_size);
	FUZZ_CHECK(fetch->body_size == run->received);
}

static bool take_response(struct run *run)
{
	g_autoptr(GError) error = NULL;
	struct imap_response response;
	bool parsed = imap_response_parse((const char *)buf_data(&run->frame.text),
					  buf_len(&run->frame.text), run->frame.body_size,
					  &response, &error);

	if (parsed) {
		check_items(run, &response.fetch);
		imap_response_clear(&response);
	}
	run->streamed = false;
	run->received = 0;
	return parsed;
}

static bool take_event(struct run *run, enum imap_frame_event event)
{
	switch (event) {
	case IMAP_FRAME_BODY:
		FUZZ_CHECK(!run->streamed && run->frame.body_size <= LIMIT_MESSAGE_SIZE);
		run->streamed = true;
		return true;
	case IMAP_FRAME_DATA:
		run->received += run->frame.data_len;
		FUZZ_CHECK(run->streamed && run->received <= run->frame.body_size);
		return true;
	case IMAP_FRAME_RESPONSE:
		return take_response(run);
	default:
		return false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autoptr(GString) text = g_string_new("* 7 FETCH (");
	struct run run = {0};
	size_t at = 0, used = 0;
	enum imap_frame_event event;

	g_string_append_len(text, (const char *)bytes, (gssize)len);
	g_string_append(text, ")\r\n");
	imap_frame_init(&run.frame, LIMIT_LINE);
	do {
		event = imap_frame_feed(&run.frame, (const uint8_t *)text->str + at, text->len - at,
					&used, NULL);
		at += used;
	} while (take_event(&run, event));
	imap_frame_clear(&run.frame);
	return 0;
}
