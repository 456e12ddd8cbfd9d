/* Arbitrary bytes as a mail. Whatever is sent of it has no Bcc, and reads as what was handed over;
 * its size is no more than was said. */
#include "fuzz.h"
#include "outbox/address.h"
#include "outbox/compose.h"

#include <sys/mman.h>
#include <unistd.h>

static int file_with(const void *bytes, size_t len)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	return fd;
}

static GString *text_of(int fd, const struct envelope *envelope, enum compose_for purpose,
			size_t step)
{
	struct compose *compose = compose_new(fd, envelope, purpose);
	GString *text = g_string_new(NULL);
	char bytes[4096];
	ssize_t len;

	while ((len = compose_read(compose, bytes, step)) > 0)
		g_string_append_len(text, bytes, len);
	FUZZ_CHECK(len == 0);
	compose_free(&compose);
	return text;
}

static void check_text(int fd, const struct envelope *envelope, enum compose_for purpose)
{
	const struct envelope_config config = {.given = "\na@b"};
	GString *text = text_of(fd, envelope, purpose, 4096);
	GString *slow = text_of(fd, envelope, purpose, 3);
	int again_fd = file_with(text->str, text->len);
	struct envelope again;

	FUZZ_CHECK(g_string_equal(text, slow));
	if (envelope_read(again_fd, &config, &again, NULL)) {
		FUZZ_CHECK(again.skip == 0 && again.size <= envelope->size);
		FUZZ_CHECK(purpose == COMPOSE_FILING || again.blind->len == 0);
		FUZZ_CHECK(purpose == COMPOSE_SENDING || again.eight_bit >= envelope->eight_bit);
		envelope_clear(&again);
	} else {
		/* Nothing was left of the header, or its first line is like an mbox one. */
		FUZZ_CHECK(*envelope->additions == '\0');
	}
	close(again_fd);
	g_string_free(text, TRUE);
	g_string_free(slow, TRUE);
}

static void check_envelope(int fd, size_t len, const struct envelope *envelope)
{
	FUZZ_CHECK(envelope->length == len);
	FUZZ_CHECK(envelope->skip + envelope->header_len <= len);
	FUZZ_CHECK(envelope->eight_bit || !envelope->utf8_header);
	FUZZ_CHECK(*envelope->message_id && !strpbrk(envelope->message_id, "\r\n"));
	FUZZ_CHECK(*envelope->sender == '\0' || address_check(envelope->sender, NULL));
	FUZZ_CHECK(envelope->recipients->len > 0);
	for (guint i = 0; i < envelope->recipients->len; i++)
		FUZZ_CHECK(address_check(envelope->recipients->pdata[i], NULL));
	check_text(fd, envelope, COMPOSE_SENDING);
	check_text(fd, envelope, COMPOSE_FILING);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct envelope_config configs[] = {
		{.from = "a@b", .date_s = 1},
		{.given = "header\nc@d\nheader", .message_id = "<1@2>"}};
	int fd = file_with(bytes, len);

	for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
		struct envelope envelope;

		if (!envelope_read(fd, &configs[i], &envelope, NULL))
			continue;
		check_envelope(fd, len, &envelope);
		envelope_clear(&envelope);
	}
	close(fd);
	return 0;
}
