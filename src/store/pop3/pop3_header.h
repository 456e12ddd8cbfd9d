/* What is read from the header of a message at a maildrop. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POP3_HEADER_MAX (128 * 1024) /* bytes of a header that are looked at */

struct pop3_header {
	char *subject;	/* raw, its begin; NULL: none */
	int64_t date_s; /* of Date, else of the newest Received; 0: none */
	/* Hex digits: half of them of what tells messages apart (store/identity.h), half of all
	 * fields but those that servers write themselves. "": there is no header. */
	char *hash;
};

/* `bytes` may go on behind the header's end. Free with pop3_header_clear(). */
void pop3_header_read(struct pop3_header *header, const char *bytes, size_t len);
void pop3_header_clear(struct pop3_header *header);

/* Neither is empty, and the first halves are the same: what servers add or rewrite in a header is
 * left out of them. */
bool pop3_header_is_like(const char *hash, const char *other);

/* RFC 5322 section 3.3, with its obsolete forms. False: no date, or before 1970. */
bool pop3_header_date(const char *text, int64_t *ret_s);
