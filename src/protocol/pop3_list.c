#include "protocol/pop3_list.h"

#include "base/limits.h"
#include "base/number.h"
#include "base/text.h"
#include "base/words.h"
#include "config/auth.h"

#include <string.h>

/* For people. */
#define MECHANISMS_ENOUGH 200

struct word {
	const char *at;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* Up to `end`; moves `*at` behind it. Empty at the end. */
static struct word word_next(const char **at, const char *end)
{
	struct word word;

	while (*at < end && is_space(**at))
		(*at)++;
	word.at = *at;
	while (*at < end && !is_space(**at))
		(*at)++;
	word.len = (size_t)(*at - word.at);
	return word;
}

static bool number_next(const char **at, const char *end, uint32_t *ret)
{
	struct word word = word_next(at, end);
	uint32_t number;

	if (!number_parse_u32(word.at, word.len, &number) || number > LIMIT_MESSAGES)
		return false;
	*ret = number;
	return true;
}

static uint64_t size_next(const char **at, const char *end)
{
	struct word word = word_next(at, end);
	uint64_t size;

	if (!number_parse_u64(word.at, word.len, &size) || size > G_MAXINT64)
		return POP3_SIZE_UNKNOWN;
	return size;
}

bool pop3_list_size(const char *line, size_t len, uint32_t *ret_number, uint64_t *ret_size)
{
	const char *end = line + len;
	uint32_t number;

	if (!number_next(&line, end, &number) || number == 0)
		return false;
	*ret_number = number;
	*ret_size = size_next(&line, end);
	return true;
}

static bool uid_is_usable(const char *uid, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (g_ascii_iscntrl(uid[i]))
			return false;
	}
	return len <= LIMIT_POP3_UID;
}

bool pop3_list_uid(const char *line, size_t len, uint32_t *ret_number, char **ret_uid)
{
	const char *end = line + len;
	uint32_t number;

	if (!number_next(&line, end, &number) || number == 0)
		return false;
	while (line < end && is_space(*line))
		line++;
	while (end > line && is_space(end[-1]))
		end--;
	*ret_number = number;
	if (uid_is_usable(line, (size_t)(end - line)))
		*ret_uid = g_strndup(line, (size_t)(end - line));
	else
		*ret_uid = g_strdup("");
	return true;
}

bool pop3_list_stat(const char *text, size_t len, uint32_t *ret_count, uint64_t *ret_size)
{
	const char *end = text + len;

	if (!number_next(&text, end, ret_count))
		return false;
	*ret_size = size_next(&text, end);
	return true;
}

/* ---- CAPA ---- */

static const struct {
	const char *word;
	unsigned cap;
} words[] = {
	{"TOP", POP3_CAP_TOP},
	{"USER", POP3_CAP_USER},
	{"UIDL", POP3_CAP_UIDL},
	{"STLS", POP3_CAP_STLS},
	{"PIPELINING", POP3_CAP_PIPELINING},
	{"RESP-CODES", POP3_CAP_RESP_CODES},
	{"UTF8", POP3_CAP_UTF8},
};

void pop3_capa_init(struct pop3_capa *capa)
{
	*capa = (struct pop3_capa){.expire_days = POP3_EXPIRE_NEVER};
}

void pop3_capa_clear(struct pop3_capa *capa)
{
	g_free(capa->mechanisms);
	pop3_capa_init(capa);
}

static bool word_is(struct word word, const char *name)
{
	return word.len == strlen(name) && g_ascii_strncasecmp(word.at, name, word.len) == 0;
}

static void take_mechanism(struct pop3_capa *capa, struct word word)
{
	g_autofree char *name = g_strndup(word.at, word.len);
	char *all;

	capa->auth |= auth_find(word.at, word.len);
	if (capa->mechanisms && strlen(capa->mechanisms) >= MECHANISMS_ENOUGH)
		return;
	all = words_alter(capa->mechanisms, name, NULL);
	g_free(capa->mechanisms);
	capa->mechanisms = all;
}

static void take_mechanisms(struct pop3_capa *capa, const char *line, const char *end)
{
	for (struct word word = word_next(&line, end); word.len > 0; word = word_next(&line, end))
		take_mechanism(capa, word);
}

static void take_login_delay(struct pop3_capa *capa, struct word value)
{
	uint32_t seconds;

	if (!number_parse_u32(value.at, value.len, &seconds))
		return;
	capa->caps |= POP3_CAP_LOGIN_DELAY;
	capa->login_delay_s = MIN(seconds, LIMIT_LOGIN_DELAY_S);
}

static void take_expire(struct pop3_capa *capa, struct word value)
{
	uint32_t days;

	if (word_is(value, "NEVER"))
		days = POP3_EXPIRE_NEVER;
	else if (!number_parse_u32(value.at, value.len, &days))
		return;
	capa->caps |= POP3_CAP_EXPIRE;
	capa->expire_days = days;
}

void pop3_capa_take(struct pop3_capa *capa, const char *line)
{
	const char *end = line + strlen(line);
	struct word word = word_next(&line, end);

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (word_is(word, words[i].word))
			capa->caps |= words[i].cap;
	}
	if (word_is(word, "SASL"))
		take_mechanisms(capa, line, end);
	else if (word_is(word, "LOGIN-DELAY"))
		take_login_delay(capa, word_next(&line, end));
	else if (word_is(word, "EXPIRE"))
		take_expire(capa, word_next(&line, end));
}

char *pop3_capa_text(const struct pop3_capa *capa)
{
	GString *text = g_string_new(NULL);

	if (!capa->known)
		g_string_append(text, POP3_CAPA_NOT_TOLD " ");
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (capa->caps & words[i].cap)
			g_string_append_printf(text, "%s ", words[i].word);
	}
	if (capa->mechanisms) {
		g_autofree char *names = text_clean(capa->mechanisms, -1, MECHANISMS_ENOUGH);

		g_string_append_printf(text, "SASL=%s ", g_strdelimit(names, " ", ','));
	}
	if (capa->caps & POP3_CAP_LOGIN_DELAY)
		g_string_append_printf(text, "LOGIN-DELAY=%u ", capa->login_delay_s);
	if (capa->caps & POP3_CAP_EXPIRE && capa->expire_days == POP3_EXPIRE_NEVER)
		g_string_append(text, "EXPIRE=NEVER ");
	else if (capa->caps & POP3_CAP_EXPIRE)
		g_string_append_printf(text, "EXPIRE=%u ", capa->expire_days);
	if (text->len == 0)
		g_string_append(text, "none ");
	g_string_truncate(text, text->len - 1);
	return g_string_free(text, FALSE);
}
