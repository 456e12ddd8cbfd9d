/* Lines of UIDL, LIST, STAT and CAPA, and the timestamp of a greeting. What is found is within its
 * limits, and part of what came. */
#include "base/limits.h"
#include "fuzz.h"
#include "protocol/pop3_apop.h"
#include "protocol/pop3_list.h"

static void check_uid(const char *line, size_t len)
{
	g_autofree char *uid = NULL;
	uint32_t number = 0;

	if (!pop3_list_uid(line, len, &number, &uid)) {
		FUZZ_CHECK(number == 0 && !uid);
		return;
	}
	FUZZ_CHECK(number > 0 && number <= LIMIT_MESSAGES);
	FUZZ_CHECK(strlen(uid) <= LIMIT_POP3_UID);
	FUZZ_CHECK(memmem(line, len, uid, strlen(uid)));
	FUZZ_CHECK(uid[0] != ' ' && !g_str_has_suffix(uid, " "));
	for (const char *at = uid; *at; at++)
		FUZZ_CHECK(!g_ascii_iscntrl(*at));
}

static void check_size(const char *line, size_t len)
{
	uint64_t size = 0;
	uint32_t number = 0;

	if (pop3_list_size(line, len, &number, &size))
		FUZZ_CHECK(number > 0 && number <= LIMIT_MESSAGES);
	FUZZ_CHECK(size <= G_MAXINT64 || size == POP3_SIZE_UNKNOWN);
	if (pop3_list_stat(line, len, &number, &size))
		FUZZ_CHECK(number <= LIMIT_MESSAGES);
	FUZZ_CHECK(size <= G_MAXINT64 || size == POP3_SIZE_UNKNOWN);
}

static void check_capa(const struct pop3_capa *capa)
{
	FUZZ_CHECK(capa->login_delay_s <= LIMIT_LOGIN_DELAY_S);
	FUZZ_CHECK(capa->caps & POP3_CAP_LOGIN_DELAY || capa->login_delay_s == 0);
	FUZZ_CHECK(capa->caps & POP3_CAP_EXPIRE || capa->expire_days == POP3_EXPIRE_NEVER);
	FUZZ_CHECK(!capa->auth || capa->mechanisms);
}

static void check_timestamp(const char *line, size_t len)
{
	g_autofree char *timestamp = pop3_apop_timestamp(line, len);
	g_autofree char *digest = NULL;

	if (!timestamp)
		return;
	FUZZ_CHECK(memmem(line, len, timestamp, strlen(timestamp)));
	FUZZ_CHECK(timestamp[0] == '<' && g_str_has_suffix(timestamp, ">"));
	FUZZ_CHECK(strchr(timestamp, '@') && strchr(timestamp, '@') == strrchr(timestamp, '@'));
	FUZZ_CHECK(strchr(timestamp, '<') == strrchr(timestamp, '<'));
	for (const char *at = timestamp; *at; at++)
		FUZZ_CHECK(g_ascii_isgraph(*at));
	digest = pop3_apop_digest(timestamp, "tanstaaf");
	FUZZ_CHECK(strlen(digest) == 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct pop3_capa capa;

	pop3_capa_init(&capa);
	while (len > 0) {
		const uint8_t *end = memchr(bytes, '\n', len);
		size_t line_len = end ? (size_t)(end - bytes) : len;
		g_autofree char *line = g_malloc(line_len + 1);

		memcpy(line, bytes, line_len);
		line[line_len] = '\0';
		check_uid(line, line_len);
		check_size(line, line_len);
		check_timestamp(line, line_len);
		pop3_capa_take(&capa, line);
		check_capa(&capa);
		line_len += end ? 1 : 0;
		bytes += line_len;
		len -= line_len;
	}
	pop3_capa_clear(&capa);
	return 0;
}
