#include "net/tls_identity.h"

#include "base/error.h"
#include "base/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define KEY_MAX (256 * 1024)

static bool bad(GError **error, const char *option, const char *path, const char *why)
{
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s=%s: %s", option, path, why);
	return false;
}

static const char *queued_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(code) ? g_strerror(ERR_GET_REASON(code))
						    : ERR_reason_error_string(code);

	return reason ? reason : "it cannot be used";
}

/* OpenSSL would ask on the terminal, where nobody sits. */
static int no_passphrase(G_GNUC_UNUSED char *buf, G_GNUC_UNUSED int size, G_GNUC_UNUSED int writing,
			 void *data)
{
	*(bool *)data = true;
	return -1;
}

static EVP_PKEY *key_parse(const char *bytes, size_t len, bool *ret_encrypted)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	EVP_PKEY *key = NULL;

	if (bio)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, ret_encrypted);
	BIO_free(bio);
	return key;
}

static bool key_load(SSL_CTX *context, const struct tls_config *config, GError **error)
{
	const char *option = config->key_file ? "tls_key" : "tls_cert";
	const char *path = config->key_file ? config->key_file : config->cert_file;
	g_autoptr(GError) why = NULL;
	bool encrypted = false, ok;
	char *bytes;
	EVP_PKEY *key;
	gsize len;

	if (!file_read(path, KEY_MAX, true, &bytes, &len, &why))
		return bad(error, option, path, why->message);
	key = key_parse(bytes, len, &encrypted);
	explicit_bzero(bytes, len);
	g_free(bytes);
	if (encrypted)
		return bad(error, option, path, "the key is encrypted, mailfs has nobody to ask");
	if (!key)
		return bad(error, option, path,
			   config->key_file ? "no key in it" : "no key in it, give tls_key=FILE");
	ok = SSL_CTX_use_PrivateKey(context, key) == 1;
	EVP_PKEY_free(key);
	return ok || bad(error, option, path, "the key is not that of the certificate");
}

bool tls_identity_load(SSL_CTX *context, const struct tls_config *config, GError **error)
{
	if (!config->cert_file)
		return true;
	if (SSL_CTX_use_certificate_chain_file(context, config->cert_file) != 1)
		return bad(error, "tls_cert", config->cert_file, queued_reason());
	return key_load(context, config, error);
}
