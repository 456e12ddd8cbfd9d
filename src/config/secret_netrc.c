#include "config/secret.h"

#include <string.h>

/* Reads netrc text token by token. A token lies in `token`, which has room for the longest. */
struct netrc {
	const char *next;
	char *token;
	size_t token_len;
};

/* The entry that is being read. */
struct entry {
	bool for_host;
	bool for_user;
	struct secret *password;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void netrc_skip_space(struct netrc *netrc)
{
	while (is_space(*netrc->next))
		netrc->next++;
}

/* "..." may hold spaces; a backslash in it takes the meaning off the next character. */
static void netrc_read_quoted(struct netrc *netrc)
{
	const char *next = netrc->next + 1;
	char *out = netrc->token;

	while (*next && *next != '"') {
		if (*next == '\\' && next[1])
			next++;
		*out++ = *next++;
	}
	netrc->next = *next ? next + 1 : next;
	netrc->token_len = (size_t)(out - netrc->token);
}

static bool netrc_read(struct netrc *netrc)
{
	netrc_skip_space(netrc);
	if (*netrc->next == '\0')
		return false;
	if (*netrc->next == '"') {
		netrc_read_quoted(netrc);
	} else {
		netrc->token_len = strcspn(netrc->next, " \t\r\n");
		memcpy(netrc->token, netrc->next, netrc->token_len);
		netrc->next += netrc->token_len;
	}
	netrc->token[netrc->token_len] = '\0';
	return true;
}

/* A comment starts where a keyword could: a password may start with '#'. */
static bool netrc_read_keyword(struct netrc *netrc)
{
	netrc_skip_space(netrc);
	while (*netrc->next == '#') {
		netrc->next += strcspn(netrc->next, "\n");
		netrc_skip_space(netrc);
	}
	return netrc_read(netrc);
}

/* A macro ends with an empty line. */
static void netrc_skip_macro(struct netrc *netrc)
{
	const char *end = strstr(netrc->next, "\n\n");
	const char *dos_end = strstr(netrc->next, "\n\r\n");

	if (dos_end && (!end || dos_end < end))
		end = dos_end;
	netrc->next = end ? end : netrc->next + strlen(netrc->next);
}

static void entry_begin(struct entry *entry, bool for_host)
{
	secret_free(&entry->password);
	entry->for_host = for_host;
	entry->for_user = true;
}

static bool entry_fits(const struct entry *entry)
{
	return entry->for_host && entry->for_user && entry->password &&
	       secret_len(entry->password) > 0;
}

/* False at the end of the text or of an entry that fits. */
static bool netrc_step(struct netrc *netrc, struct entry *entry, const char *host, const char *user)
{
	if (!netrc_read_keyword(netrc))
		return false;
	if (strcmp(netrc->token, "machine") == 0 || strcmp(netrc->token, "default") == 0) {
		bool any = *netrc->token == 'd';

		if (entry_fits(entry))
			return false;
		entry_begin(entry, any || (netrc_read(netrc) &&
					   g_ascii_strcasecmp(netrc->token, host) == 0));
	} else if (strcmp(netrc->token, "login") == 0) {
		entry->for_user = netrc_read(netrc) && strcmp(netrc->token, user) == 0;
	} else if (strcmp(netrc->token, "password") == 0 && netrc_read(netrc)) {
		secret_free(&entry->password);
		entry->password = secret_new(netrc->token, netrc->token_len);
	} else if (strcmp(netrc->token, "account") == 0) {
		netrc_read(netrc);
	} else if (strcmp(netrc->token, "macdef") == 0) {
		netrc_skip_macro(netrc);
	}
	return true;
}

struct secret *secret_from_netrc(const char *text, const char *host, const char *user)
{
	size_t size = strlen(text) + 1;
	struct netrc netrc = {.next = text, .token = g_malloc0(size)};
	struct entry entry = {0};

	while (netrc_step(&netrc, &entry, host, user))
		;
	explicit_bzero(netrc.token, size);
	g_free(netrc.token);
	if (!entry_fits(&entry))
		secret_free(&entry.password);
	return entry.password;
}
