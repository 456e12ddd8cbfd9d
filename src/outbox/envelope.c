#include "outbox/envelope.h"

#include "base/error.h"
#include "base/header.h"
#include "base/limits.h"
#include "base/text.h"
#include "outbox/address.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	CHUNK = 64 * 1024,
	SHOWN_MAX = 60,	      /* of a line, in a message */
	MBOX_LINE_MAX = 1000, /* with its end */
	ID_BYTES = 16,
};

/* One pass over the file. */
struct scan {
	GString *head; /* what stands before the first empty line, an mbox line with it */
	bool in_head;
	bool cr; /* the last byte was one: an LF belongs to it */
	bool eight_bit_body;
	unsigned line; /* from 1 */
	unsigned column;
	uint64_t length;
	uint64_t size; /* with CRLF */
};

/* A part of the header that is searched by names. */
struct block {
	const char *bytes;
	size_t len;
};

struct reader {
	const struct envelope_config *config;
	struct block header;
	struct block resent; /* the first block of Resent-* fields; empty if it names nobody */
	char *from;	     /* config->from as it goes out; may be NULL */
	GHashTable *known;   /* the recipients so far, borrowed */
	struct envelope envelope;
};

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error_literal(error, MAILFS_ERROR, ERROR_REFUSED, text);
	return false;
}

/* --- the bytes --- */

static void scan_line_end(struct scan *scan, char c)
{
	if (scan->column == 0)
		scan->in_head = false;
	else if (scan->in_head)
		g_string_append_c(scan->head, c);
	scan->line++;
	scan->column = 0;
	scan->size += 2;
	scan->cr = c == '\r';
}

static bool scan_byte(struct scan *scan, char c, GError **error)
{
	if (c == '\n' && scan->cr) {
		scan->cr = false;
		if (scan->in_head)
			g_string_append_c(scan->head, c);
		return true;
	}
	scan->cr = false;
	if (c == '\r' || c == '\n') {
		scan_line_end(scan, c);
		return true;
	}
	if (c == '\0')
		return refuse(error, "line %u holds a NUL byte: encode what is no text",
			      scan->line);
	if (++scan->column > LIMIT_TEXT_LINE)
		return refuse(error, "line %u is longer than %d bytes: break it, or encode it",
			      scan->line, LIMIT_TEXT_LINE);
	scan->size++;
	if (scan->in_head)
		g_string_append_c(scan->head, c);
	else if (c & 0x80)
		scan->eight_bit_body = true;
	return true;
}

static bool header_too_long(GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_LIMIT, "the header is longer than %d KiB",
		    LIMIT_HEADER / 1024);
	return false;
}

static bool scan_bytes(struct scan *scan, const char *bytes, size_t len, GError **error)
{
	for (size_t i = 0; i < len; i++) {
		if (!scan_byte(scan, bytes[i], error))
			return false;
		if (scan->in_head && scan->head->len > LIMIT_HEADER + MBOX_LINE_MAX)
			return header_too_long(error);
	}
	scan->length += len;
	return true;
}

static bool scan_file(struct scan *scan, int fd, GError **error)
{
	g_autofree char *bytes = g_malloc(CHUNK);
	ssize_t len;

	while ((len = pread(fd, bytes, CHUNK, (off_t)scan->length)) != 0) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) {
			g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot read the message: %s",
				    g_strerror(errno));
			return false;
		}
		if (!scan_bytes(scan, bytes, (size_t)len, error))
			return false;
	}
	if (scan->column > 0)
		scan->size += 2;
	return true;
}

/* --- the header as a whole --- */

/* "From " and no field: its name would be followed by a colon. Gives its length with its end. */
static size_t mbox_line(const GString *head)
{
	const char *at = head->str;
	size_t len = strcspn(at, "\r\n");

	if (!g_str_has_prefix(at, "From ") || at[5 + strspn(at + 5, " \t")] == ':')
		return 0;
	if (at[len] == '\r')
		len++;
	return at[len] == '\n' ? len + 1 : len;
}

static bool is_blind(const struct header_field *field)
{
	return header_field_is(field, "Bcc") || header_field_is(field, "Resent-Bcc");
}

static bool has_eight_bit(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] & 0x80)
			return true;
	}
	return false;
}

/* Fields that stand together. Where the line before them ends in CR and the last of them in LF, the
 * CR goes with them and the LF stays: a CR must not come to stand before the LF of an empty line.
 */
static void note_blind(struct reader *reader, size_t start, size_t end)
{
	GArray *blind = reader->envelope.blind;
	const char *bytes = reader->header.bytes;
	struct envelope_span span;

	if (start > 0 && bytes[start - 1] == '\r' && bytes[end - 1] == '\n') {
		start--;
		end--;
	}
	span = (struct envelope_span){reader->envelope.skip + start, end - start};
	g_array_append_val(blind, span);
}

static bool no_field(const struct reader *reader, const struct header_field *field, GError **error)
{
	const char *line = reader->header.bytes + field->offset;
	g_autofree char *shown = text_clean(line, (gssize)strcspn(line, "\r\n"), SHOWN_MAX);

	return refuse(error, "line %u is no field of a header: '%s'",
		      field->line + (reader->envelope.skip > 0), shown);
}

static bool note_fields(struct reader *reader, GError **error)
{
	const char *bytes = reader->header.bytes;
	struct header header;
	struct header_field field;
	size_t blind = 0; /* how much of that is before the field */

	header_init(&header, bytes, reader->header.len);
	while (header_next(&header, &field)) {
		if (!field.name)
			return no_field(reader, &field, error);
		if (is_blind(&field)) {
			blind += field.len;
			continue;
		}
		if (blind > 0)
			note_blind(reader, field.offset - blind, field.offset);
		blind = 0;
		reader->envelope.utf8_header |= has_eight_bit(bytes + field.offset, field.len);
	}
	if (blind > 0)
		note_blind(reader, header.at - blind, header.at);
	return true;
}

static bool is_resent(const struct header_field *field)
{
	return field->name_len > 7 && g_ascii_strncasecmp(field->name, "Resent-", 7) == 0;
}

static bool block_find(const struct block *block, const char *name, struct header_field *ret)
{
	struct header header;

	header_init(&header, block->bytes, block->len);
	while (header_next(&header, ret)) {
		if (header_field_is(ret, name))
			return true;
	}
	return false;
}

static bool block_has(const struct block *block, const char *name)
{
	struct header_field field;

	return block_find(block, name, &field);
}

/* NULL: there is none. Free with g_free(). */
static char *block_text(const struct block *block, const char *name)
{
	struct header_field field;

	return block_find(block, name, &field) ? header_field_text(&field) : NULL;
}

/* Its bit; 0: none that comes once each time. */
static unsigned resent_bit(const struct header_field *field)
{
	static const char *const names[] = {"Date", "From", "Sender",	  "To",
					    "Cc",   "Bcc",  "Message-ID", "Reply-To"};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = g_strconcat("Resent-", names[i], NULL);

		if (header_field_is(field, name))
			return 1u << i;
	}
	return 0;
}

/* Each time that a mail is resent its fields are put on top: what comes again further down, and
 * not at once, is of an earlier time. */
static struct block first_resent(const struct block *whole)
{
	struct block block = {whole->bytes, 0};
	struct header header;
	struct header_field field;
	unsigned seen = 0;
	unsigned last = 0;

	header_init(&header, whole->bytes, whole->len);
	while (header_next(&header, &field)) {
		unsigned bit = is_resent(&field) ? resent_bit(&field) : 0;

		if (block.len > 0 && (!is_resent(&field) || (bit != last && (seen & bit))))
			break;
		if (block.len == 0)
			block.bytes = whole->bytes + field.offset;
		if (is_resent(&field))
			block.len += field.len;
		seen |= bit;
		last = bit;
	}
	return block;
}

/* --- addresses --- */

static char *wire_form(const char *address, GError **error)
{
	if (!address_check(address, error))
		return NULL;
	return address_needs_utf8(address) ? g_strdup(address) : address_to_ascii(address, error);
}

static bool read_from(struct reader *reader, GError **error)
{
	if (!reader->config->from)
		return true;
	reader->from = wire_form(reader->config->from, error);
	return reader->from != NULL;
}

typedef bool (*parse_fn)(const char *value, GPtrArray *addresses, GError **error);

/* All of that name; appended. */
static bool block_addresses(const struct block *block, const char *name, parse_fn parse,
			    GPtrArray *addresses, GError **error)
{
	struct header header;
	struct header_field field;

	header_init(&header, block->bytes, block->len);
	while (header_next(&header, &field)) {
		g_autofree char *value = NULL;

		if (!header_field_is(&field, name))
			continue;
		value = g_strndup(field.value, field.value_len);
		if (!parse(value, addresses, error)) {
			g_prefix_error(error, "%s: ", name);
			return false;
		}
	}
	return true;
}

/* Cron writes as "root": nobody could answer that, and few servers take it. */
static bool set_sender(struct reader *reader, const char *address, GError **error)
{
	if (reader->from && address_is_local(address)) {
		reader->envelope.sender = g_strdup(reader->from);
		return true;
	}
	reader->envelope.sender = wire_form(address, error);
	return reader->envelope.sender != NULL;
}

/* True, and no sender set, if there is none of that name. */
static bool sender_from(struct reader *reader, const struct block *block, const char *name,
			const char *instead, GError **error)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);

	if (!block_addresses(block, name, address_senders_parse, addresses, error))
		return false;
	if (addresses->len > 1)
		return refuse(error, "%s names several addresses: one %s has to say who sends it",
			      name, instead);
	return addresses->len == 0 || set_sender(reader, addresses->pdata[0], error);
}

static bool sender_of_header(struct reader *reader, GError **error)
{
	const struct block *resent = reader->resent.len > 0 ? &reader->resent : NULL;
	const struct block *block = resent ? resent : &reader->header;
	const char *sender = resent ? "Resent-Sender" : "Sender";
	const char *from = resent ? "Resent-From" : "From";

	if (!sender_from(reader, block, sender, sender, error))
		return false;
	if (!reader->envelope.sender && !sender_from(reader, block, from, sender, error))
		return false;
	if (reader->envelope.sender)
		return true;
	reader->envelope.sender = g_strdup(reader->from);
	return reader->from || refuse(error, "nothing says who sends it: add a From field");
}

static bool add_recipient(struct reader *reader, const char *address, GError **error)
{
	GPtrArray *recipients = reader->envelope.recipients;
	char *wire = wire_form(address, error);

	if (!wire)
		return false;
	if (g_hash_table_contains(reader->known, wire)) {
		g_free(wire);
		return true;
	}
	if (recipients->len >= LIMIT_RECIPIENTS) {
		g_free(wire);
		return refuse(error, "it has more than %d recipients", LIMIT_RECIPIENTS);
	}
	g_ptr_array_add(recipients, wire);
	g_hash_table_add(reader->known, wire);
	return true;
}

static bool recipients_from(struct reader *reader, const struct block *block, const char *name,
			    GError **error)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);

	if (!block_addresses(block, name, address_list_parse, addresses, error))
		return false;
	for (guint i = 0; i < addresses->len; i++) {
		if (!add_recipient(reader, addresses->pdata[i], error)) {
			g_prefix_error(error, "%s: ", name);
			return false;
		}
	}
	return true;
}

static bool recipients_of_header(struct reader *reader, GError **error)
{
	static const char *const names[] = {"To", "Cc", "Bcc"};
	static const char *const resent[] = {"Resent-To", "Resent-Cc", "Resent-Bcc"};
	const bool again = reader->resent.len > 0;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!recipients_from(reader, again ? &reader->resent : &reader->header,
				     again ? resent[i] : names[i], error))
			return false;
	}
	return true;
}

/* One address, with or without "<" and ">". */
static char *bare(char *line)
{
	size_t len = strlen(g_strstrip(line));

	if (len >= 2 && line[0] == '<' && line[len - 1] == '>') {
		line[len - 1] = '\0';
		return g_strstrip(line + 1);
	}
	return line;
}

static bool sender_given(struct reader *reader, char *line, GError **error)
{
	if (g_str_equal(line, "header"))
		return sender_of_header(reader, error);
	line = bare(line);
	if (*line)
		return set_sender(reader, line, error);
	reader->envelope.sender = g_strdup("");
	return true;
}

static bool recipients_given(struct reader *reader, char **lines, GError **error)
{
	for (; *lines; lines++) {
		bool fine = true;

		g_strstrip(*lines);
		if (g_str_equal(*lines, "header"))
			fine = recipients_of_header(reader, error);
		else if (**lines)
			fine = add_recipient(reader, bare(*lines), error);
		if (!fine)
			return false;
	}
	return true;
}

static bool read_given(struct reader *reader, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(reader->config->given, "\n", -1);

	if (!lines[0]) {
		reader->envelope.sender = g_strdup("");
		return true;
	}
	return sender_given(reader, g_strstrip(lines[0]), error) &&
	       recipients_given(reader, lines + 1, error);
}

static bool read_addresses(struct reader *reader, GError **error)
{
	bool fine = reader->config->given ? read_given(reader, error)
					  : sender_of_header(reader, error) &&
						    recipients_of_header(reader, error);

	if (fine && reader->envelope.recipients->len == 0)
		return refuse(error, "it has no recipient: add To, Cc or Bcc");
	return fine;
}

/* --- what is missing --- */

/* RFC 5322 section 3.3; strftime() would speak the user's language. */
static char *date_text(int64_t date_s)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const time_t when = (time_t)CLAMP(date_s, 0, 253370764800); /* of the year 9999 */
	struct tm tm;
	long offset;

	localtime_r(&when, &tm);
	offset = labs(tm.tm_gmtoff) / 60;
	return g_strdup_printf("%.3s, %02d %.3s %d %02d:%02d:%02d %c%02ld%02ld",
			       days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
			       tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
			       tm.tm_gmtoff < 0 ? '-' : '+', offset / 60, offset % 60);
}

static char *id_text(const struct reader *reader, const uint8_t *bytes)
{
	const char *address = *reader->envelope.sender ? reader->envelope.sender : reader->from;
	g_autofree char *ascii = address ? address_to_ascii(address, NULL) : NULL;
	const char *at = ascii ? strrchr(ascii, '@') : NULL;
	GString *id = g_string_new("<");

	for (unsigned i = 0; i < ID_BYTES; i++)
		g_string_append_printf(id, "%02x", bytes[i]);
	g_string_append_printf(id, "%s>", at ? at : "@localhost");
	return g_string_free(id, FALSE);
}

static bool random_id(const struct reader *reader, char **ret, GError **error)
{
	uint8_t bytes[ID_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "cannot get random bytes: %s",
			    g_strerror(errno));
		return false;
	}
	*ret = id_text(reader, bytes);
	return true;
}

/* The same at each try, and another one for another time. */
static char *resent_id(const struct reader *reader)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_update(sum, (const guchar *)&reader->config->date_s,
			  sizeof(reader->config->date_s));
	g_checksum_update(sum, (const guchar *)reader->header.bytes, (gssize)reader->header.len);
	g_checksum_get_digest(sum, digest, &len);
	return id_text(reader, digest);
}

static bool check_filled(const struct reader *reader, GError **error)
{
	static const char *const names[] = {"Date", "From", "Message-ID"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = block_text(&reader->header, names[i]);

		if (text && !*text)
			return refuse(error, "the field %s is empty: fill it in, or leave it out",
				      names[i]);
	}
	return true;
}

static bool set_message_id(struct reader *reader, GError **error)
{
	struct envelope *envelope = &reader->envelope;
	g_autofree char *text = block_text(&reader->header, "Message-ID");

	if (text)
		envelope->message_id = text_clean(text, -1, LIMIT_TEXT_LINE);
	else if (reader->config->message_id)
		envelope->message_id = g_strdup(reader->config->message_id);
	else
		return random_id(reader, &envelope->message_id, error);
	return true;
}

/* Those of the last resending come last, so that they touch the others of its block. */
static void add_resent(const struct reader *reader, const char *date, GString *added)
{
	g_autofree char *id = resent_id(reader);

	if (!block_has(&reader->resent, "Resent-Date"))
		g_string_append_printf(added, "Resent-Date: %s\r\n", date);
	if (!block_has(&reader->resent, "Resent-From") && reader->from)
		g_string_append_printf(added, "Resent-From: <%s>\r\n", reader->from);
	if (!block_has(&reader->resent, "Resent-Message-ID"))
		g_string_append_printf(added, "Resent-Message-ID: %s\r\n", id);
}

static bool add_missing(struct reader *reader, GError **error)
{
	g_autoptr(GString) added = g_string_new(NULL);
	g_autofree char *date = date_text(reader->config->date_s);

	if (!check_filled(reader, error) || !set_message_id(reader, error))
		return false;
	if (!block_has(&reader->header, "From") && !reader->from)
		return refuse(error, "nothing says who wrote it: add a From field");
	if (!block_has(&reader->header, "Date"))
		g_string_append_printf(added, "Date: %s\r\n", date);
	if (!block_has(&reader->header, "From"))
		g_string_append_printf(added, "From: <%s>\r\n", reader->from);
	if (!block_has(&reader->header, "Message-ID"))
		g_string_append_printf(added, "Message-ID: %s\r\n", reader->envelope.message_id);
	if (reader->resent.len > 0)
		add_resent(reader, date, added);
	reader->envelope.additions = g_string_free(g_steal_pointer(&added), FALSE);
	return true;
}

/* --- all of it --- */

static bool read_header(struct reader *reader, const struct scan *scan, GError **error)
{
	struct envelope *envelope = &reader->envelope;
	size_t mbox = mbox_line(scan->head);

	envelope->skip = mbox;
	envelope->length = scan->length;
	envelope->header_len = scan->head->len - mbox;
	reader->header = (struct block){scan->head->str + mbox, scan->head->len - mbox};
	if (envelope->header_len == 0)
		return refuse(error, "it has no header: fields such as \"To: NAME@DOMAIN\" come "
				     "first, then an empty line");
	if (envelope->header_len > LIMIT_HEADER)
		return header_too_long(error);
	if (!note_fields(reader, error))
		return false;
	reader->resent = first_resent(&reader->header);
	if (!block_has(&reader->resent, "Resent-To") && !block_has(&reader->resent, "Resent-Cc") &&
	    !block_has(&reader->resent, "Resent-Bcc"))
		reader->resent.len = 0;
	return true;
}

static void sum_up(struct envelope *envelope, const struct scan *scan)
{
	const size_t added = strlen(envelope->additions);
	const size_t mbox = envelope->skip > 0 ? strcspn(scan->head->str, "\r\n") + 2 : 0;

	envelope->utf8_header |= has_eight_bit(envelope->additions, added);
	envelope->eight_bit = envelope->utf8_header || scan->eight_bit_body;
	envelope->size = scan->size - mbox + added;
}

static bool read_all(struct reader *reader, int fd, struct scan *scan, GError **error)
{
	if (!scan_file(scan, fd, error) || !read_header(reader, scan, error) ||
	    !read_from(reader, error) || !read_addresses(reader, error) ||
	    !add_missing(reader, error))
		return false;
	sum_up(&reader->envelope, scan);
	return true;
}

bool envelope_read(int fd, const struct envelope_config *config, struct envelope *ret,
		   GError **error)
{
	struct scan scan = {.head = g_string_new(NULL), .in_head = true, .line = 1};
	struct reader reader = {.config = config,
				.known = g_hash_table_new(address_hash, address_equal)};
	bool fine;

	reader.envelope.recipients = g_ptr_array_new_with_free_func(g_free);
	reader.envelope.blind = g_array_new(FALSE, FALSE, sizeof(struct envelope_span));
	fine = read_all(&reader, fd, &scan, error);
	if (fine)
		*ret = reader.envelope;
	else
		envelope_clear(&reader.envelope);
	g_hash_table_unref(reader.known);
	g_free(reader.from);
	g_string_free(scan.head, TRUE);
	return fine;
}

void envelope_clear(struct envelope *envelope)
{
	g_free(envelope->sender);
	g_clear_pointer(&envelope->recipients, g_ptr_array_unref);
	g_free(envelope->message_id);
	g_free(envelope->additions);
	g_clear_pointer(&envelope->blind, g_array_unref);
	*envelope = (struct envelope){0};
}
