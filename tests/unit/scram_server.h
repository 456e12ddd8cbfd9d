/* The server's side of SCRAM (RFC 5802), computed with GLib alone: what the client under test is
 * compared with. Its own yardstick are the examples of RFC 5802 and 7677. */
#pragma once

#include <glib.h>
#include <string.h>

struct scram_server {
	GChecksumType hash;
	const char *password;
	const char *salt; /* base64 */
	unsigned iterations;
};

struct digest {
	guint8 bytes[64];
	gsize len;
};

static inline struct digest scram_hmac(GChecksumType hash, const void *key, gsize key_len,
				       const void *text, gsize len)
{
	GHmac *hmac = g_hmac_new(hash, key, key_len);
	struct digest digest = {.len = sizeof(digest.bytes)};

	g_hmac_update(hmac, text, (gssize)len);
	g_hmac_get_digest(hmac, digest.bytes, &digest.len);
	g_hmac_unref(hmac);
	return digest;
}

static inline struct digest scram_hash(GChecksumType hash, const struct digest *text)
{
	GChecksum *checksum = g_checksum_new(hash);
	struct digest digest = {.len = sizeof(digest.bytes)};

	g_checksum_update(checksum, text->bytes, (gssize)text->len);
	g_checksum_get_digest(checksum, digest.bytes, &digest.len);
	g_checksum_free(checksum);
	return digest;
}

/* Hi(): RFC 5802 section 2.2. */
static inline struct digest scram_salted(const struct scram_server *server)
{
	gsize password_len = strlen(server->password), salt_len;
	g_autofree guchar *salt = g_base64_decode(server->salt, &salt_len);
	g_autofree guchar *first = g_malloc(salt_len + 4);
	struct digest block, sum;

	memcpy(first, salt, salt_len);
	memcpy(first + salt_len, "\0\0\0\1", 4);
	block = scram_hmac(server->hash, server->password, password_len, first, salt_len + 4);
	sum = block;
	for (unsigned i = 1; i < server->iterations; i++) {
		block = scram_hmac(server->hash, server->password, password_len, block.bytes,
				   block.len);
		for (gsize j = 0; j < sum.len; j++)
			sum.bytes[j] ^= block.bytes[j];
	}
	return sum;
}

static inline struct digest scram_keyed(const struct scram_server *server, const char *name)
{
	struct digest salted = scram_salted(server);

	return scram_hmac(server->hash, salted.bytes, salted.len, name, strlen(name));
}

/* `auth`: client-first-message-bare "," server-first-message ","
 * client-final-message-without-proof. Both base64; free with g_free(). */
static inline char *scram_proof(const struct scram_server *server, const char *auth)
{
	struct digest key = scram_keyed(server, "Client Key");
	struct digest stored = scram_hash(server->hash, &key);
	struct digest signature =
		scram_hmac(server->hash, stored.bytes, stored.len, auth, strlen(auth));

	for (gsize i = 0; i < key.len; i++)
		key.bytes[i] ^= signature.bytes[i];
	return g_base64_encode(key.bytes, key.len);
}

static inline char *scram_signature(const struct scram_server *server, const char *auth)
{
	struct digest key = scram_keyed(server, "Server Key");
	struct digest signature = scram_hmac(server->hash, key.bytes, key.len, auth, strlen(auth));

	return g_base64_encode(signature.bytes, signature.len);
}
