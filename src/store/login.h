/* What both backends log in with: SASL (RFC 4422), channel binding (RFC 9266). Engine thread. */
#pragma once

#include "config/account.h"
#include "config/credentials.h"
#include "net/link.h"
#include "protocol/sasl.h"

/* Not known without TLS 1.3. */
struct sasl_binding store_binding(const struct link *link);
/* At the account's mailbox, with what the credential has (NULL: nothing). The strings are borrowed
 * from both. */
struct sasl_login store_login(const struct account *account, const struct credential *credential,
			      const struct link *link);
