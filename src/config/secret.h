/* A password in memory: one locked, wiped allocation. It is never printed, put into argv or into
 * an environment. Owned by the account; protocol sessions borrow it. Locks do not survive fork():
 * find it in the process that will use it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct secret;

/* `bytes` holds no NUL. */
struct secret *secret_new(const char *bytes, size_t len);
void secret_free(struct secret **secret);
/* NUL-terminated; valid as long as the secret. */
const char *secret_text(const struct secret *secret);
size_t secret_len(const struct secret *secret);

/* The first line of `bytes`, without its end. ERROR_CONFIG if it is empty or holds a NUL; `what`
 * names the source. */
struct secret *secret_from_line(const char *bytes, size_t len, const char *what, GError **error);

struct account;

/* Finds the account's password: password_command, password_file, password= of the configuration
 * file, the credential "mailfs.password"
 * of systemd, ~/.netrc, the terminal (only if `may_ask`). NULL with ERROR_CONFIG (a source that was
 * named fails; none found) or ERROR_TIMEOUT (command over 60 s). Blocks; called from main before
 * any thread starts. */
struct secret *secret_find(const struct account *account, bool may_ask, GError **error);

/* The password for submission: smtp_password_command, smtp_password_file, the credential
 * "mailfs.smtp_password" of systemd, ~/.netrc (the submission server's host), else a copy of
 * `account_secret`. Errors and threads as above. */
struct secret *secret_find_submission(const struct account *account,
				      const struct secret *account_secret, GError **error);

/* Gives `command` to sh -c as a process group of its own, with nothing on stdin and our stderr. The
 * first line of its output counts; all of it is at most LIMIT_SECRET. It has ended (or was killed,
 * with its group) on return. ERROR_CONFIG, ERROR_TIMEOUT. */
struct secret *secret_from_command(const char *command, int timeout_ms, GError **error);

/* The password of `host` (or "default") and `user` in netrc text; NULL if there is none. The first
 * entry that fits counts; one without a login fits every user. */
struct secret *secret_from_netrc(const char *text, const char *host, const char *user);

/* Asks on the terminal behind the descriptor, with the echo off. ERROR_CONFIG. */
struct secret *secret_from_terminal(int tty, const char *prompt, GError **error);
