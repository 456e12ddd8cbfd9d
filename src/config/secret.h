/* A password in memory: one locked, wiped allocation. It is never printed, put into argv or into
 * an environment. Owned by the account; protocol sessions borrow it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct secret;

struct secret *secret_new(const char *bytes, size_t len);
void secret_free(struct secret **secret);
/* NUL-terminated; valid as long as the secret. */
const char *secret_text(const struct secret *secret);
size_t secret_len(const struct secret *secret);

struct account;

/* Finds the account's password: password_command, password_file, ~/.netrc, the terminal (only if
 * `may_ask`). NULL with ERROR_CONFIG (a source that was named fails; none found) or ERROR_TIMEOUT
 * (command over 60 s). Blocks; called from main before any thread starts.
 *
 * password_command is given to sh -c with stdin closed; its first output line counts, LIMIT_SECRET
 * at most; its stderr is ours. */
struct secret *secret_find(const struct account *account, bool may_ask, GError **error);

/* The password of `host` (or "default") and `user` in netrc text; NULL if there is none. */
struct secret *secret_from_netrc(const char *text, const char *host, const char *user);
