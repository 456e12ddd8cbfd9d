/* CAPABILITY words to bits (RFC 9051 section 7.2.2). Pure functions. */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Bits of enum imap_cap. Case does not matter, unknown words are skipped. `words` (of char *) may
 * be NULL. */
unsigned imap_caps_parse(const GPtrArray *words);
/* The mechanisms of "AUTH=" words: bits of enum auth_mechanism. */
unsigned imap_caps_auth(const GPtrArray *words);
/* The largest message that may be appended (RFC 7889); UINT64_MAX if that is not told. */
uint64_t imap_caps_append_limit(const GPtrArray *words);
/* What they name, on one line, cleaned; for people. Free with g_free(). */
char *imap_caps_auth_text(const GPtrArray *words);
/* The same words on one line, cleaned. Free with g_free(). */
char *imap_caps_text(const GPtrArray *words);
