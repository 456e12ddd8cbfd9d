/* Our own certificate, for servers that ask for one: part of net/tls.c. */
#pragma once

#include "net/tls.h"

#include <openssl/ssl.h>

/* Nothing to do if there is none. ERROR_CONFIG: a file that cannot be read, a key that others may
 * read, that is encrypted, or that is another's. */
bool tls_identity_load(SSL_CTX *context, const struct tls_config *config, GError **error);
