#include "store/pop3/pop3_header.h"

#include "base/header.h"
#include "base/number.h"
#include "store/identity.h"

#include <glib.h>
#include <string.h>

#define HALF 32 /* hex digits */
#define SUBJECT_MAX 4096

/* --- Date --- */

/* Words in the order in which they stand; comments and commas are left out. */
static GPtrArray *date_words(const char *text)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	unsigned depth = 0;

	while (*text) {
		size_t len = depth == 0 ? strcspn(text, " \t\r\n,()") : 0;

		if (len > 0) {
			g_ptr_array_add(words, g_strndup(text, len));
			text += len;
			continue;
		}
		if (*text == '(')
			depth++;
		else if (*text == ')' && depth > 0)
			depth--;
		text++;
	}
	return words;
}

static const char *word_at(const GPtrArray *words, unsigned i)
{
	return i < words->len ? g_ptr_array_index(words, i) : "";
}

static bool parse_int(const char *text, size_t len, int *ret)
{
	uint32_t number;

	if (!number_parse_u32(text, len, &number) || number > 9999)
		return false;
	*ret = (int)number;
	return true;
}

static bool parse_month(const char *word, int *ret)
{
	static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	for (int i = 0; i < 12; i++) {
		if (g_ascii_strncasecmp(word, names[i], 3) == 0) {
			*ret = i + 1;
			return true;
		}
	}
	return false;
}

/* RFC 5322 section 4.3. */
static bool parse_year(const char *word, int *ret)
{
	size_t len = strlen(word);
	int year;

	if (!parse_int(word, len, &year))
		return false;
	if (len <= 2)
		year += year < 50 ? 2000 : 1900;
	else if (len == 3)
		year += 1900;
	*ret = year;
	return year >= 1970;
}

static bool parse_time(const char *word, int *ret)
{
	g_auto(GStrv) parts = g_strsplit(word, ":", 4);
	unsigned n = g_strv_length(parts);
	int hour, minute, second = 0;

	if (n < 2 || n > 3 || !parse_int(parts[0], strlen(parts[0]), &hour) ||
	    !parse_int(parts[1], strlen(parts[1]), &minute) ||
	    (n == 3 && !parse_int(parts[2], strlen(parts[2]), &second)) || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	*ret = (hour * 60 + minute) * 60 + second;
	return true;
}

/* Seconds east of Greenwich; what is not known is as good as there (RFC 5322 section 4.3). */
static int zone_offset(const char *word)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
		     {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
	int hour, minute;

	if ((*word == '+' || *word == '-') && strlen(word) == 5 && parse_int(word + 1, 2, &hour) &&
	    parse_int(word + 3, 2, &minute))
		return (*word == '-' ? -60 : 60) * (hour * 60 + minute);
	for (unsigned i = 0; i < G_N_ELEMENTS(zones); i++) {
		if (g_ascii_strcasecmp(word, zones[i].name) == 0)
			return zones[i].hours * 3600;
	}
	return 0;
}

bool pop3_header_date(const char *text, int64_t *ret_s)
{
	g_autoptr(GPtrArray) words = date_words(text);
	g_autoptr(GDateTime) midnight = NULL;
	unsigned at = g_ascii_isdigit(*word_at(words, 0)) ? 0 : 1;
	const char *day_word = word_at(words, at);
	int day, month, year, time;
	int64_t s;

	if (!parse_int(day_word, strlen(day_word), &day) ||
	    !parse_month(word_at(words, at + 1), &month) ||
	    !parse_year(word_at(words, at + 2), &year) ||
	    !parse_time(word_at(words, at + 3), &time))
		return false;
	midnight = g_date_time_new_utc(year, month, day, 0, 0, 0);
	if (!midnight)
		return false;
	s = g_date_time_to_unix(midnight) + time - zone_offset(word_at(words, at + 4));
	if (s < 0)
		return false;
	*ret_s = s;
	return true;
}

/* --- the digest --- */

/* Fields that a server writes into what it holds: mailutils, qpopper, UW-IMAP, Dovecot's mbox. */
static bool is_written_by_server(const struct header_field *field)
{
	static const char *const names[] = {"Status",		"X-Status",	    "X-UID",
					    "X-UIDL",		"X-IMAP",	    "X-IMAPbase",
					    "X-Keywords",	"Content-Length",   "Lines",
					    "X-Mozilla-Status", "X-Mozilla-Status2"};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (header_field_is(field, names[i]))
			return true;
	}
	return false;
}

static void digest_field(GChecksum *checksum, const struct header_field *field)
{
	g_autofree char *name = g_ascii_strdown(field->name, (gssize)field->name_len);
	g_autofree char *text = header_field_text(field);

	g_checksum_update(checksum, (const guchar *)name, -1);
	g_checksum_update(checksum, (const guchar *)":", 1);
	g_checksum_update(checksum, (const guchar *)text, -1);
	g_checksum_update(checksum, (const guchar *)"\n", 1);
}

/* Those of a whole maildrop are held. */
static char *subject_of(const struct header_field *field)
{
	g_autofree char *text = header_field_text(field);

	return g_strndup(text, SUBJECT_MAX);
}

static void take_date(struct pop3_header *header, const struct header_field *field, bool *ret_sure)
{
	g_autofree char *text = header_field_text(field);
	const char *date = text;

	if (header_field_is(field, "Date")) {
		*ret_sure = *ret_sure || pop3_header_date(text, &header->date_s);
	} else if (!*ret_sure && header->date_s == 0 && header_field_is(field, "Received")) {
		date = strrchr(text, ';');
		if (date)
			pop3_header_date(date + 1, &header->date_s);
	}
}

/* Where nothing tells it from others in short, all of it must. */
static char *join_digests(const char *bytes, size_t len, const char *all)
{
	g_autofree char *fields = store_identity_fields(bytes, len);
	g_autofree char *identity = g_compute_checksum_for_string(G_CHECKSUM_SHA256, fields, -1);

	return g_strdup_printf("%.*s%.*s", HALF, *fields ? identity : all, HALF, all);
}

void pop3_header_read(struct pop3_header *header, const char *bytes, size_t len)
{
	g_autoptr(GChecksum) all = g_checksum_new(G_CHECKSUM_SHA256);
	struct header_field field;
	struct header walk;
	bool date_is_sure = false;
	unsigned fields = 0;

	*header = (struct pop3_header){0};
	header_init(&walk, bytes, len);
	while (header_next(&walk, &field)) {
		if (!field.name || is_written_by_server(&field))
			continue;
		fields++;
		digest_field(all, &field);
		take_date(header, &field, &date_is_sure);
		if (!header->subject && header_field_is(&field, "Subject"))
			header->subject = subject_of(&field);
	}
	header->hash =
		fields > 0 ? join_digests(bytes, len, g_checksum_get_string(all)) : g_strdup("");
}

void pop3_header_clear(struct pop3_header *header)
{
	g_clear_pointer(&header->subject, g_free);
	g_clear_pointer(&header->hash, g_free);
}

bool pop3_header_is_like(const char *hash, const char *other)
{
	return strlen(hash) >= HALF && strncmp(hash, other, HALF) == 0;
}
