/* Mail addresses in header fields (RFC 5322 section 3.4, RFC 6532), as they go into MAIL and RCPT.
 * Who gets a mail must not be guessed: what the grammar does not have is refused. (GMime passes
 * over it, or warns; it gives "xn--..." decoded, and recurses into groups. Where this takes a list
 * GMime has to find the same in it: fuzz_address.) Pure functions, any thread. ERROR_REFUSED with a
 * line that says what is wrong with which part. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Appends the addresses of a field's value (folded or not): those of groups too, comments, display
 * names and routes left out, local parts as they are written. An empty group has none. Each has a
 * domain; controls and encoded words are refused. Nothing is appended on failure. */
bool address_list_parse(const char *value, GPtrArray *addresses, GError **error);
/* The same of who sends: an address without a domain, as local programs write it, is given as it is
 * (address_is_local()). */
bool address_senders_parse(const char *value, GPtrArray *addresses, GError **error);
/* What is left of the "@" alone: somebody of this machine. */
bool address_is_local(const char *address);
/* A bare address, as of an option or a command line: "local@domain", valid as above. */
bool address_check(const char *address, GError **error);
/* The same mailbox: domains in any case of letters. For GHashTable too. */
gboolean address_equal(gconstpointer a, gconstpointer b);
guint address_hash(gconstpointer address);
/* Its domain as A-labels, where it has others (RFC 5890). ERROR_REFUSED: it cannot be. */
char *address_to_ascii(const char *address, GError **error);
/* Bytes over 127 in the local part, too: only SMTPUTF8 can carry it. */
bool address_needs_utf8(const char *address);
