/* The grammar on arbitrary bytes: no result breaks what its header promises. The first byte is the
 * announced size of a body. */
#include "base/error.h"
#include "base/limits.h"
#include "fuzz.h"
#include "protocol/imap_response.h"

#include <string.h>

static void check_text(const char *text, size_t max)
{
	FUZZ_CHECK(text && strlen(text) <= max && g_utf8_validate(text, -1, NULL));
	for (const char *p = text; *p; p++)
		FUZZ_CHECK(!g_ascii_iscntrl(*p));
}

static void check_set(const struct seqset *set)
{
	uint64_t last = 0;

	for (guint i = 0; set->ranges && i < set->ranges->len; i++) {
		const struct seqrange *range = &g_array_index(set->ranges, struct seqrange, i);
		FUZZ_CHECK(range->first > 0 && range->first <= range->last);
		FUZZ_CHECK(i == 0 || range->first > last + 1);
		last = range->last;
	}
}

static void check_list(const GArray *ranges)
{
	for (guint i = 0; ranges && i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		FUZZ_CHECK(range->first > 0 && range->first <= range->last);
	}
}

static void check_status(const struct imap_response *response)
{
	g_autoptr(GError) error = imap_response_error(response, "x");

	check_text(response->text, 512);
	check_text(error->message, 512 + 3);
	if (response->code != IMAP_CODE_NONE)
		check_text(response->code_name, 64);
	FUZZ_CHECK((response->code == IMAP_CODE_NONE) == !response->code_name);
	if (response->code == IMAP_CODE_CAPABILITY || response->code == IMAP_CODE_PERMANENTFLAGS)
		FUZZ_CHECK(response->words);
	if (response->code == IMAP_CODE_APPENDUID || response->code == IMAP_CODE_COPYUID)
		FUZZ_CHECK(response->number > 0 && response->to && response->to->len > 0);
	if (response->code == IMAP_CODE_COPYUID)
		FUZZ_CHECK(response->from && response->from->len > 0);
	check_list(response->from);
	check_list(response->to);
}

static void check_fetch(const struct imap_fetch *fetch)
{
	FUZZ_CHECK(!(fetch->items & IMAP_FETCH_UID) == (fetch->uid == 0));
	FUZZ_CHECK(!(fetch->items & IMAP_FETCH_HEADER) == !fetch->header);
	FUZZ_CHECK(!fetch->keywords || fetch->keywords->len <= LIMIT_KEYWORDS);
	if (fetch->items & IMAP_FETCH_BODY)
		FUZZ_CHECK(fetch->body_streamed + fetch->body_nil + (fetch->body != NULL) == 1);
	else
		FUZZ_CHECK(!fetch->body_streamed && !fetch->body_nil && !fetch->body);
}

static void check_response(const struct imap_response *response)
{
	FUZZ_CHECK((response->kind == IMAP_TAGGED) == (response->tag != NULL));
	check_set(&response->set);
	check_fetch(&response->fetch);
	if (response->kind == IMAP_CONTINUATION)
		check_text(response->text, 512);
	if (response->data == IMAP_DATA_STATUS)
		check_status(response);
	if (response->data == IMAP_DATA_LIST || response->data == IMAP_DATA_MAILBOX_STATUS ||
	    response->data == IMAP_DATA_QUOTA || response->data == IMAP_DATA_MYRIGHTS)
		FUZZ_CHECK(response->mailbox && strlen(response->mailbox) <= LIMIT_MAILBOX_NAME);
	if (response->words)
		FUZZ_CHECK(response->words->len <= LIMIT_CAPABILITIES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct imap_response response;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	uint64_t origin;

	if (len == 0)
		return 0;
	text = fuzz_copy(bytes + 1, len - 1);
	imap_response_peek_body(text, len - 1, &origin);
	if (imap_response_parse(text, len - 1, bytes[0], &response, &error)) {
		check_response(&response);
		imap_response_clear(&response);
	} else {
		FUZZ_CHECK(error->domain == MAILFS_ERROR);
		FUZZ_CHECK(error->code == ERROR_PROTOCOL || error->code == ERROR_LIMIT);
		check_text(error->message, 512);
	}
	return 0;
}
