#include "outbox/address.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

enum {
	LOCAL_MAX = 64, /* RFC 5321 section 4.5.3.1 */
	DOMAIN_MAX = 255,
	SHOWN_MAX = 80, /* of an address, in a message */
};

/* What is being read, from one comma to the next. */
enum place {
	PLACE_NAME, /* or an address without a name */
	PLACE_ANGLE,
	PLACE_ROUTED, /* in "<...>" behind a route (RFC 5322 section 4.4) */
	PLACE_CLOSED, /* behind the ">" */
};

struct list {
	const char *part; /* where it begins */
	enum place place;
	GString *run;  /* its tokens, since "<" or a route if there is one */
	bool word;     /* the last token was none of "." and "@" */
	bool adjacent; /* words stood side by side: only a name may */
	bool odd;      /* there is more than words and dots: no name */
	bool group;    /* between ":" and ";" */
	bool ended;    /* a group was: a comma has to follow */
	bool local;    /* they may lack a domain */
};

static bool refuse(const char *what, const char *why, GError **error)
{
	g_autofree char *shown = text_clean(what, -1, SHOWN_MAX);

	g_set_error(error, MAILFS_ERROR, ERROR_REFUSED, "'%s' %s", shown, why);
	return false;
}

/* --- one address --- */

static bool is_atom(char c)
{
	return (c & 0x80) || g_ascii_isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_label(char c)
{
	return (c & 0x80) || g_ascii_isalnum(c) || c == '-' || c == '_';
}

static bool is_dotted(const char *text, size_t len, bool (*is_part)(char))
{
	bool dot = true;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.' ? dot : !is_part(text[i]))
			return false;
		dot = text[i] == '.';
	}
	return !dot;
}

static bool is_quoted(const char *text, size_t len)
{
	if (len < 2 || text[0] != '"' || text[len - 1] != '"')
		return false;
	for (size_t i = 1; i < len - 1; i++) {
		if (text[i] == '\\' ? ++i == len - 1 : text[i] == '"')
			return false;
	}
	return true;
}

static bool is_literal(const char *text, size_t len)
{
	if (len < 3 || text[0] != '[' || text[len - 1] != ']')
		return false;
	for (size_t i = 1; i < len - 1; i++) {
		if (!g_ascii_isgraph(text[i]) || strchr("[]\\@<>", text[i]))
			return false;
	}
	return true;
}

/* RFC 2047 section 5 forbids them here; decoded they could be anything. */
static bool has_encoded_word(const char *text)
{
	const char *start = strstr(text, "=?");

	return start && strstr(start + 2, "?=");
}

static bool is_domain(const char *text)
{
	size_t len = strlen(text);

	return is_dotted(text, len, is_label) || is_literal(text, len);
}

static bool check_domain(const char *address, const char *domain, GError **error)
{
	if (!is_domain(domain))
		return refuse(address, "has a domain that is none", error);
	if (strlen(domain) > DOMAIN_MAX)
		return refuse(address, "has a domain over 255 bytes", error);
	return true;
}

bool address_check(const char *address, GError **error)
{
	const char *at = strrchr(address, '@');
	size_t local;

	/* Else nobody would see who gets the mail. */
	if (!text_is_visible(address))
		return refuse(address, "holds characters that no address may have", error);
	if (!at)
		return refuse(address, "is no address: it has no domain", error);
	local = (size_t)(at - address);
	if (!is_dotted(address, local, is_atom) && !is_quoted(address, local))
		return refuse(address, "is no address", error);
	if (has_encoded_word(address))
		return refuse(address, "is an encoded word, and no address", error);
	if (local > LOCAL_MAX)
		return refuse(address, "has over 64 bytes before the '@'", error);
	return check_domain(address, at + 1, error);
}

bool address_is_local(const char *address)
{
	size_t len = strlen(address);

	return len <= LOCAL_MAX && text_is_visible(address) && !has_encoded_word(address) &&
	       (is_dotted(address, len, is_atom) || is_quoted(address, len));
}

static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at ? at + 1 : address + strlen(address);
}

gboolean address_equal(gconstpointer a, gconstpointer b)
{
	size_t local = (size_t)(domain_of(a) - (const char *)a);

	return local == (size_t)(domain_of(b) - (const char *)b) && memcmp(a, b, local) == 0 &&
	       g_ascii_strcasecmp(domain_of(a), domain_of(b)) == 0;
}

guint address_hash(gconstpointer address)
{
	const char *domain = domain_of(address);
	guint hash = 5381;

	for (const char *c = address; *c; c++)
		hash = hash * 33 + (guchar)(c < domain ? *c : g_ascii_tolower(*c));
	return hash;
}

bool address_needs_utf8(const char *address)
{
	const char *domain = domain_of(address);

	for (const char *c = address; c < domain; c++) {
		if (*c & 0x80)
			return true;
	}
	return false;
}

/* The rules changed over the years in what some letters stand for; nobody shall get mail by that.
 */
static bool domain_is_plain(const char *domain, const char *ascii)
{
	g_autofree char *back = g_hostname_to_unicode(ascii);
	g_autofree char *lower = g_utf8_strdown(domain, -1);
	g_autofree char *composed = g_utf8_normalize(lower, -1, G_NORMALIZE_NFC);

	return g_strcmp0(back, composed) == 0;
}

char *address_to_ascii(const char *address, GError **error)
{
	const char *domain = domain_of(address);
	g_autofree char *ascii = NULL;
	g_autofree char *whole = NULL;

	if (g_str_is_ascii(domain))
		return g_strdup(address);
	ascii = g_hostname_to_ascii(domain);
	if (!ascii || !domain_is_plain(domain, ascii)) {
		refuse(address, "has a domain to be written as \"xn--...\"", error);
		return NULL;
	}
	whole = g_strdup_printf("%.*s%s", (int)(domain - address), address, ascii);
	return address_check(whole, error) ? g_steal_pointer(&whole) : NULL;
}

/* --- lists --- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* NULL: there is a control in it. */
static char *unfold(const char *value)
{
	g_autoptr(GString) text = g_string_sized_new(strlen(value));
	size_t end;

	for (const char *c = value; *c; c += end) {
		end = *c == '\r' && c[1] == '\n' ? 2 : 1;
		if (*c == '\r' || *c == '\n') {
			if (c[end] && !is_space(c[end]))
				return NULL;
		} else if (g_ascii_iscntrl(*c) && *c != '\t') {
			return NULL;
		} else {
			g_string_append_c(text, *c);
		}
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Behind the comment, quoted string or literal that begins here; NULL: it does not end. */
static const char *skip_delimited(const char *at)
{
	const char open = *at;
	const char close = open == '(' ? ')' : open == '[' ? ']' : '"';
	size_t depth = 1;

	for (at++; *at; at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == close && --depth == 0)
			return at + 1;
		else if (*at == open && open == '(')
			depth++;
	}
	return NULL;
}

/* Behind the token that begins here: a word, a literal, a comment or a character. */
static const char *token_end(const char *at)
{
	if (strchr("(\"[", *at))
		return skip_delimited(at);
	if (!is_atom(*at))
		return at + 1;
	while (is_atom(*at))
		at++;
	return at;
}

static void run_start(struct list *list, enum place place)
{
	list->place = place;
	g_string_truncate(list->run, 0);
	list->word = false;
	list->adjacent = false;
	list->odd = false;
}

static bool in_angle(const struct list *list)
{
	return list->place == PLACE_ANGLE || list->place == PLACE_ROUTED;
}

static bool run_add(struct list *list, const char *at, const char *end)
{
	const bool word = is_atom(*at) || strchr("\"[", *at);

	if (list->place == PLACE_CLOSED || (!word && !strchr(".@,", *at)))
		return false;
	list->adjacent |= word && list->word;
	list->odd |= strchr("[@,", *at) || (*at == '.' && list->run->len == 0);
	list->word = word;
	g_string_append_len(list->run, at, end - at);
	return true;
}

/* "@A,@B": the way that it once took. */
static bool run_is_route(const struct list *list)
{
	g_auto(GStrv) hops = g_strsplit(list->run->str, ",", -1);

	for (unsigned i = 0; hops[i]; i++) {
		if ((i == 0 || *hops[i]) && (*hops[i] != '@' || !is_domain(hops[i] + 1)))
			return false;
	}
	return hops[0] && !list->adjacent;
}

/* Takes a token that does not end a part. NULL: it is out of place. */
static const char *take(struct list *list, const char *at)
{
	const char *end = token_end(at);
	bool fine = end != NULL;

	if (!fine || *at == '(' || is_space(*at))
		return end;
	if (*at == '<') {
		fine = list->place == PLACE_NAME && !list->odd;
		run_start(list, PLACE_ANGLE);
	} else if (*at == '>') {
		fine = in_angle(list);
		list->place = PLACE_CLOSED;
	} else if (*at == ':') {
		fine = list->place == PLACE_ANGLE && run_is_route(list);
		run_start(list, PLACE_ROUTED);
	} else {
		fine = run_add(list, at, end);
	}
	return fine ? end : NULL;
}

static void part_start(struct list *list, const char *at)
{
	list->part = at;
	run_start(list, PLACE_NAME);
}

static bool part_end(struct list *list, const char *end, GPtrArray *addresses, GError **error)
{
	g_autofree char *part = g_strstrip(g_strndup(list->part, (gsize)(end - list->part)));

	if (in_angle(list))
		return refuse(part, "has no '>'", error);
	if (list->place == PLACE_NAME && list->run->len == 0)
		return true;
	if (list->ended)
		return refuse(part, "follows a group without a comma", error);
	if (list->adjacent)
		return refuse(part, "is no address", error);
	if (!(list->local && address_is_local(list->run->str)) &&
	    !address_check(list->run->str, error))
		return false;
	g_ptr_array_add(addresses, g_strdup(list->run->str));
	return true;
}

static bool group_start(struct list *list, const char *end, GError **error)
{
	g_autofree char *name = g_strstrip(g_strndup(list->part, (gsize)(end - list->part)));

	if (list->group || list->ended || list->place != PLACE_NAME || list->odd ||
	    list->run->len == 0)
		return refuse(name, "is no name of a group", error);
	list->group = true;
	return true;
}

/* A comma, the end of a group, or of all. */
static bool separator(struct list *list, const char *at, GPtrArray *addresses, GError **error)
{
	if (!part_end(list, at, addresses, error))
		return false;
	if (*at == ';' && !list->group)
		return refuse(";", "ends no group: addresses are parted by ','", error);
	if (*at == '\0' && list->group)
		return refuse(list->part, "ends a group without ';'", error);
	if (*at == ';')
		list->group = false;
	list->ended = *at == ';';
	return true;
}

static bool is_part_end(const struct list *list, char c)
{
	return c == '\0' || (!in_angle(list) && (c == ',' || c == ';'));
}

static bool read_list(struct list *list, const char *text, GPtrArray *addresses, GError **error)
{
	const char *at = text;

	part_start(list, text);
	for (;;) {
		const char *next = at + 1;

		if (is_part_end(list, *at)) {
			if (!separator(list, at, addresses, error))
				return false;
			if (*at == '\0')
				return true;
			part_start(list, next);
		} else if (*at == ':' && list->place == PLACE_NAME) {
			if (!group_start(list, at, error))
				return false;
			part_start(list, next);
		} else if (!(next = take(list, at))) {
			return refuse(at, "cannot be read", error);
		}
		at = next;
	}
}

static bool parse(const char *value, bool local, GPtrArray *addresses, GError **error)
{
	g_autofree char *text = unfold(value);
	struct list list = {.local = local};
	guint before = addresses->len;
	bool fine;

	if (!text)
		return refuse(value, "holds a control character", error);
	list.run = g_string_new(NULL);
	fine = read_list(&list, text, addresses, error);
	if (!fine)
		g_ptr_array_set_size(addresses, (gint)before);
	g_string_free(list.run, TRUE);
	return fine;
}

bool address_list_parse(const char *value, GPtrArray *addresses, GError **error)
{
	return parse(value, false, addresses, error);
}

bool address_senders_parse(const char *value, GPtrArray *addresses, GError **error)
{
	return parse(value, true, addresses, error);
}
