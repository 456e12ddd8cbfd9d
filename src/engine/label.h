/* The readable part of a message's file name, made from its subject (semantics: "Names"). */
#pragma once

#include <glib.h>

#define LABEL_MAX_BYTES 80

/* Once, in main, before any thread that makes labels: sets up the charset tables of GMime. */
void label_init(void);

/* `subject` is the raw header value (RFC 2047 encoded words, any charset, folded or not); NULL is
 * no subject. Letters and digits of any script and -_+=@ stay, every run of anything else (and of
 * '-') becomes one '-', none leads or trails, at most LABEL_MAX_BYTES cut at a character. "" if
 * nothing is left. NFC. Any thread. Free with g_free(). */
char *label_from_subject(const char *subject);
