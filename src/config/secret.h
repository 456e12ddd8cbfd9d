/* A password in memory: one locked, wiped allocation. It is never printed, put into argv or into
 * an environment. Owned by the account; protocol sessions borrow it. Locks do not survive fork():
 * find it in the process that will use it. */
#pragma once

#include <glib.h>
#include <stdatomic.h>
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

/* Whose secret is looked for. */
struct secret_search {
	const struct account *account;
	/* Set by another thread: a command that runs is killed. NULL: a signal that would end us
	 * does that. */
	const atomic_bool *cancelled;
};

/* The account's password: password_command, password_file, password= of the configuration file, a
 * credential of systemd ("mailfs.NAME.password" of an account that has a name in the file, or
 * "mailfs.password"), the Secret Service, ~/.netrc. True with NULL: there is none. ERROR_CONFIG: a
 * source that was named fails; ERROR_TIMEOUT: a command took over 60 s. Blocks. Any thread. */
bool secret_find(const struct secret_search *search, struct secret **ret_secret, GError **error);
/* The same for submission: smtp_password_command, smtp_password_file, smtp_password=, credentials
 * that end in "smtp_password", the Secret Service, ~/.netrc (of another host or user than the
 * account's). NULL: it is the account's. */
bool secret_find_submission(const struct secret_search *search, struct secret **ret_secret,
			    GError **error);
/* What oauth2_token_command prints; NULL with an error as above. */
struct secret *secret_find_token(const struct secret_search *search, GError **error);
/* From the terminal; ERROR_CONFIG, also if there is none. */
struct secret *secret_ask(const struct account *account, GError **error);

struct secret_command {
	const char *what;	 /* for messages: "password_command" */
	const char *noun;	 /* likewise: "password" */
	const char *const *argv; /* the program is looked for in PATH */
	char **environment;	 /* NULL: ours */
	int timeout_ms;
	const atomic_bool *cancelled; /* as above */
	bool quiet;		      /* what it says on stderr is nobody's business */
};

/* Runs it as a process group of its own, with nothing on stdin and our stderr. The first line of
 * its output counts; all of it is at most LIMIT_SECRET. It has ended (or was killed, with its
 * group) on return. ERROR_CONFIG, ERROR_TIMEOUT. */
struct secret *secret_from_command(const struct secret_command *command, GError **error);

/* What of our environment a command may see, and MAILFS_ACCOUNT, MAILFS_USER, MAILFS_HOST and
 * MAILFS_PROTOCOL. Free with g_strfreev(). */
char **secret_environment(const struct account *account, bool submission);

/* The password of `host` (or "default") and `user` in netrc text; NULL if there is none. The first
 * entry that fits counts; one without a login fits every user. */
struct secret *secret_from_netrc(const char *text, const char *host, const char *user);

/* Asks on the terminal behind the descriptor, with the echo off. ERROR_CONFIG. */
struct secret *secret_from_terminal(int tty, const char *prompt, GError **error);
