/* APOP (RFC 1939 section 7): a digest of the password and of a timestamp in the greeting. Weak: who
 * chooses the timestamp learns the password from collisions of MD5 (CVE-2007-1558), for which it
 * needs bytes that no message-id holds. Pure functions. */
#pragma once

#include <glib.h>
#include <stddef.h>

/* The timestamp, with its brackets: what stands between the first "<" and the next ">", if it is a
 * msg-id of printable ASCII: dot-atom "@" (dot-atom or "[" literal "]"), RFC 5322 section 3.6.4.
 * NULL: none. Free with g_free(). */
char *pop3_apop_timestamp(const char *greeting, size_t len);
/* 32 hex digits. Free with g_free(). */
char *pop3_apop_digest(const char *timestamp, const char *password);
