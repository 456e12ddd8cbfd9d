/* Lines of the listings of a POP3 server: UIDL, LIST (RFC 1939), CAPA (RFC 2449), and the reply to
 * STAT. Servers differ: several spaces or tabs, spaces at the end, UIDs that are empty or long,
 * sizes that are none; what cannot be read is told as such, and says nothing about the lines beside
 * it. Lines come without their line end and are followed by a NUL; they may hold others. Pure
 * functions; `ret_` is untouched on failure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Negative, not there, no number, over G_MAXINT64. */
#define POP3_SIZE_UNKNOWN UINT64_MAX

/* False: the line names no message (1 to LIMIT_MESSAGES). */
bool pop3_list_size(const char *line, size_t len, uint32_t *ret_number, uint64_t *ret_size);
/* The same; `*ret_uid` is a copy, free with g_free(): as it came, but "" if there is none, if it
 * holds controls, or is longer than LIMIT_POP3_UID: then it names nothing. It may hold spaces and
 * bytes over 127, is not a file name, and need not be unique. */
bool pop3_list_uid(const char *line, size_t len, uint32_t *ret_number, char **ret_uid);
/* What stands behind the "+OK" to STAT. False: no count (0 to LIMIT_MESSAGES). */
bool pop3_list_stat(const char *text, size_t len, uint32_t *ret_count, uint64_t *ret_size);

enum pop3_cap {
	POP3_CAP_TOP = 1 << 0,
	POP3_CAP_USER = 1 << 1,
	POP3_CAP_UIDL = 1 << 2,
	POP3_CAP_STLS = 1 << 3,
	POP3_CAP_PIPELINING = 1 << 4,
	POP3_CAP_RESP_CODES = 1 << 5,
	POP3_CAP_UTF8 = 1 << 6,
	POP3_CAP_LOGIN_DELAY = 1 << 7,
	POP3_CAP_EXPIRE = 1 << 8,
};

#define POP3_EXPIRE_NEVER UINT32_MAX

struct pop3_capa {
	bool known; /* the server has CAPA; else nothing is known of what it can do */
	unsigned caps;
	uint32_t login_delay_s; /* at least this between logins; at most LIMIT_LOGIN_DELAY_S */
	uint32_t expire_days;	/* 0: a message goes when it was read; POP3_EXPIRE_NEVER */
	unsigned auth;		/* mechanisms of SASL: enum auth_mechanism */
	char *mechanisms; /* the same, with those that are unknown, parted by spaces; or NULL */
};

void pop3_capa_init(struct pop3_capa *capa);
void pop3_capa_clear(struct pop3_capa *capa);
/* One line more; what is unknown or malformed is ignored. */
void pop3_capa_take(struct pop3_capa *capa, const char *line);
#define POP3_CAPA_NOT_TOLD "not told"
/* For people: "TOP UIDL SASL=PLAIN,LOGIN EXPIRE=NEVER", "none", or POP3_CAPA_NOT_TOLD by a server
 * without CAPA. Free with g_free(). */
char *pop3_capa_text(const struct pop3_capa *capa);
