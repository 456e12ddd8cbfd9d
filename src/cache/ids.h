/* Numbers made from names: what makes a folder the same folder after the cache was deleted. */
#pragma once

#include <stdint.h>

#define IDS_TOKEN_LEN 4

/* Both are 28 bits of a SHA-256, at least 16: the small ones are special nodes. INBOX counts as the
 * same name in any case of letters. */
uint32_t ids_folder(const char *account, const char *name);
/* `ret_token` gets IDS_TOKEN_LEN lower-case base32 characters (RFC 4648) of other bits of the same
 * hash, and a NUL. */
uint32_t ids_epoch(const char *account, const char *name, uint64_t uidvalidity,
		   char ret_token[IDS_TOKEN_LEN + 1]);
/* The number to try when `id` is taken. */
uint32_t ids_next(uint32_t id);
