#include "outbox/compose.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct compose {
	int fd;
	const struct envelope *envelope;
	enum compose_for purpose;
	size_t added;  /* bytes of the additions that were given */
	uint64_t at;   /* in the file */
	unsigned span; /* the next that is left out */
};

struct compose *compose_new(int fd, const struct envelope *envelope, enum compose_for purpose)
{
	struct compose *compose = g_new0(struct compose, 1);

	compose->fd = fd;
	compose->envelope = envelope;
	compose->purpose = purpose;
	compose->at = envelope->skip;
	return compose;
}

void compose_free(struct compose **compose)
{
	g_clear_pointer(compose, g_free);
}

static size_t give_added(struct compose *compose, void *bytes, size_t max)
{
	const char *left = compose->envelope->additions + compose->added;
	size_t len = MIN(strlen(left), max);

	memcpy(bytes, left, len);
	compose->added += len;
	return len;
}

/* Moves over what is left out; gives where the next such part begins, or the end. */
static uint64_t part_end(struct compose *compose)
{
	const GArray *blind = compose->envelope->blind;

	for (; compose->purpose == COMPOSE_SENDING && compose->span < blind->len; compose->span++) {
		const struct envelope_span *span =
			&g_array_index(blind, struct envelope_span, compose->span);

		if (compose->at < span->offset)
			return span->offset;
		compose->at = span->offset + span->len;
	}
	return compose->envelope->length;
}

/* What was checked is what is sent: a file that is shorter now is an error, and what was appended
 * stays behind. */
ssize_t compose_read(struct compose *compose, void *bytes, size_t max)
{
	size_t added = give_added(compose, bytes, max);
	uint64_t end = part_end(compose);
	size_t len = (size_t)MIN(max, end - compose->at);
	ssize_t got;

	if (added > 0 || len == 0)
		return (ssize_t)added;
	do {
		got = pread(compose->fd, bytes, len, (off_t)compose->at);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return -1;
	compose->at += (uint64_t)got;
	return got;
}
