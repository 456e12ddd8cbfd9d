#include "cache/ids.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

enum {
	IDS_FIRST = 16,
	IDS_LAST = (1 << 28) - 1,
	SHA256_BYTES = 32,
};

static uint32_t be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/* The NUL behind each part keeps ("ab", "c") and ("a", "bc") apart. */
static void digest_names(const char *account, const char *name, const char *more,
			 uint8_t digest[SHA256_BYTES])
{
	gsize len = SHA256_BYTES;

	if (g_ascii_strcasecmp(name, "INBOX") == 0)
		name = "INBOX";
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	g_checksum_update(sum, (const guchar *)account, (gssize)strlen(account) + 1);
	g_checksum_update(sum, (const guchar *)name, (gssize)strlen(name) + 1);
	g_checksum_update(sum, (const guchar *)more, (gssize)strlen(more));
	g_checksum_get_digest(sum, digest, &len);
}

static uint32_t id_from_digest(const uint8_t digest[SHA256_BYTES])
{
	uint32_t id = be32(digest) & IDS_LAST;

	return id < IDS_FIRST ? id + IDS_FIRST : id;
}

uint32_t ids_folder(const char *account, const char *name)
{
	uint8_t digest[SHA256_BYTES];

	digest_names(account, name, "", digest);
	return id_from_digest(digest);
}

uint32_t ids_epoch(const char *account, const char *name, uint64_t uidvalidity,
		   char ret_token[IDS_TOKEN_LEN + 1])
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t digest[SHA256_BYTES];
	char number[24];

	g_snprintf(number, sizeof(number), "%" PRIu64, uidvalidity);
	digest_names(account, name, number, digest);
	for (unsigned i = 0; i < IDS_TOKEN_LEN; i++)
		ret_token[i] = base32[be32(digest + 4) >> (27 - 5 * i) & 31];
	ret_token[IDS_TOKEN_LEN] = '\0';
	return id_from_digest(digest);
}

uint32_t ids_next(uint32_t id)
{
	return id >= IDS_LAST ? IDS_FIRST : id + 1;
}
