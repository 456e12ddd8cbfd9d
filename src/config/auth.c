#include "config/auth.h"

#include <string.h>

static const char *const names[] = {
	"EXTERNAL",	    "GSSAPI",	     "OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-256-PLUS",
	"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN",   "LOGIN",
	"CRAM-MD5",	    "APOP",
};

const char *auth_name(enum auth_mechanism mechanism)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (mechanism == 1u << i)
			return names[i];
	}
	g_assert_not_reached();
}

unsigned auth_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (len == strlen(names[i]) && g_ascii_strncasecmp(name, names[i], len) == 0)
			return 1u << i;
	}
	return 0;
}

bool auth_parse(const char *list, unsigned *ret_set)
{
	unsigned set = 0;

	for (;;) {
		size_t len = strcspn(list, ":,");
		unsigned one = auth_find(list, len);

		if (!one)
			return false;
		set |= one;
		if (list[len] == '\0')
			break;
		list += len + 1;
	}
	*ret_set = set;
	return true;
}

unsigned auth_below(unsigned mechanism)
{
	const unsigned shown = AUTH_PLAIN | AUTH_LOGIN | AUTH_BY_TOKEN;
	const unsigned bound = AUTH_SCRAM_SHA_256_PLUS | AUTH_SCRAM_SHA_1_PLUS;

	if (mechanism & bound)
		return ~(bound | AUTH_EXTERNAL | AUTH_GSSAPI);
	return mechanism == 0 || mechanism & shown ? 0 : shown;
}

char *auth_text(unsigned set)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (set & 1u << i)
			g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", names[i]);
	}
	if (text->len == 0)
		g_string_append(text, "none");
	return g_string_free(text, FALSE);
}
