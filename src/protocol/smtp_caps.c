#include "base/number.h"
#include "base/text.h"
#include "base/words.h"
#include "protocol/smtp_session_private.h"

#include <string.h>

/* For people. */
#define MECHANISMS_ENOUGH 200

static const struct {
	const char *word;
	unsigned cap;
} words[] = {
	{"STARTTLS", SMTP_CAP_STARTTLS}, {"PIPELINING", SMTP_CAP_PIPELINING},
	{"SIZE", SMTP_CAP_SIZE},	 {"8BITMIME", SMTP_CAP_8BITMIME},
	{"SMTPUTF8", SMTP_CAP_SMTPUTF8}, {"DSN", SMTP_CAP_DSN},
	{"AUTH", SMTP_CAP_AUTH},	 {"ENHANCEDSTATUSCODES", SMTP_CAP_ENHANCED},
};

void smtp_caps_forget(struct smtp_session *session)
{
	session->caps = session->auth = 0;
	session->size_max = UINT64_MAX;
	g_clear_pointer(&session->mechanisms, g_free);
}

/* Zero: no limit is told (RFC 1870 section 4). */
static void take_size(struct smtp_session *session, const char *value)
{
	uint64_t size;

	if (number_parse_u64(value, strlen(value), &size) && size > 0)
		session->size_max = size;
}

/* Many servers say it twice: "AUTH PLAIN", and "AUTH=PLAIN" for clients of long ago. */
static void take_mechanisms(struct smtp_session *session, const char *value)
{
	for (const char *at = value; *at; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");

		session->auth |= auth_find(at, len);
		at += len;
	}
	if (!session->mechanisms || strlen(session->mechanisms) < MECHANISMS_ENOUGH) {
		char *all = words_alter(session->mechanisms, value, NULL);

		g_free(session->mechanisms);
		session->mechanisms = all;
	}
}

static void take_line(struct smtp_session *session, const char *line)
{
	size_t len = strcspn(line, " =");
	const char *value = line + len + strspn(line + len, " =");
	unsigned cap = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (len == strlen(words[i].word) &&
		    g_ascii_strncasecmp(line, words[i].word, len) == 0)
			cap = words[i].cap;
	}
	session->caps |= cap;
	if (cap == SMTP_CAP_SIZE)
		take_size(session, value);
	else if (cap == SMTP_CAP_AUTH)
		take_mechanisms(session, value);
}

void smtp_caps_take(struct smtp_session *session, const struct smtp_reply *reply)
{
	smtp_caps_forget(session);
	/* The first line is the server's name. */
	for (unsigned i = 1; i < reply->lines->len; i++)
		take_line(session, g_ptr_array_index(reply->lines, i));
}

char *smtp_session_cap_text(const struct smtp_session *session)
{
	GString *text = g_string_new(NULL);
	g_autofree char *mechanisms =
		text_clean(session->mechanisms ? session->mechanisms : "", -1, MECHANISMS_ENOUGH);

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!(session->caps & words[i].cap))
			continue;
		g_string_append_printf(text, "%s%s", text->len ? " " : "", words[i].word);
		if (words[i].cap == SMTP_CAP_AUTH && *mechanisms)
			g_string_append_printf(text, "=%s", g_strdelimit(mechanisms, " ", ','));
		else if (words[i].cap == SMTP_CAP_SIZE && session->size_max != UINT64_MAX)
			g_string_append_printf(text, "=%" G_GUINT64_FORMAT, session->size_max);
	}
	return g_string_free(text, FALSE);
}
