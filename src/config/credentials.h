/* What an account logs in with at its two servers: the passwords and the token, how they are found
 * again, and who may try them when. One for the engine and the outbox.
 *
 * A secret is found once and kept. Finding may take a minute (a command, a person), so that after
 * the start a thread of its own does it, one for all; who has to wait is woken. What a server has
 * refused it is not shown again: a password ends all logins at that server until
 * credentials_renew(), and so does a token, but for the first time: it may have expired, so it is
 * found anew and tried once more. As long as no server has taken a secret, one login at a time is
 * made, at whichever server; what the mailbox' refuses then is not shown to the other.
 *
 * Any thread, where nothing else is said. NULL is an account that needs nothing. */
#pragma once

#include "config/account.h"
#include "config/secret.h"

struct credentials;
struct keeper;

/* For one login; each may be NULL. */
struct credential {
	const struct secret *password;
	const struct secret *token; /* OAuth 2.0 */
	unsigned below; /* enum auth_mechanism: this server has taken better than these */
};

enum credentials_side { CREDENTIALS_MAILBOX, CREDENTIALS_SUBMISSION };

/* `account` is borrowed. */
struct credentials *credentials_new(const struct account *account);
/* From here on it finds what is found anew; borrowed. Before there is another thread. */
void credentials_use(struct credentials *credentials, struct keeper *keeper);
/* Kills a command that runs. All logins must have ended. */
void credentials_free(struct credentials **credentials);

/* Finds all that is wanted now; the token, which may come from the net, only `with_token`. Asks on
 * the terminal if there is no other source and `may_ask`. ERROR_CONFIG, ERROR_TIMEOUT. Blocks: of
 * main, while there is no other thread. */
bool credentials_find(struct credentials *credentials, bool may_ask, bool with_token,
		      GError **error);

/* `wake` is called, in any thread and with a lock held, when CREDENTIALS_WAIT may be over. NULL: no
 * more. */
void credentials_watch(struct credentials *credentials, enum credentials_side side,
		       void (*wake)(void *data), void *data);

enum credentials_answer {
	CREDENTIALS_GO,	  /* log in, then credentials_end() */
	CREDENTIALS_WAIT, /* something is being found, or somebody else is trying it */
	CREDENTIALS_STOP, /* ERROR_AUTH: it is of no use until credentials_renew(); ERROR_TEMPORARY:
			   * there is no token now */
};

/* `*ret` lives until credentials_end(). */
enum credentials_answer credentials_begin(struct credentials *credentials,
					  enum credentials_side side, const struct credential **ret,
					  GError **error);
/* `error`: NULL, it was taken; ERROR_AUTH, it was refused; any other, it was not looked at. True:
 * it may be tried again at once, with another. `*credential` may be NULL: there is none. */
bool credentials_end(struct credentials *credentials, enum credentials_side side,
		     const struct credential **credential, const GError *error);
/* It was taken, by this mechanism (auth_find()): from here on the server is not let down to one
 * that is less (auth_below()). Who it is that offers less, nobody knows. */
void credentials_taken(struct credentials *credentials, enum credentials_side side,
		       const struct credential **credential, const char *mechanism);
/* The same for one of several connections to that server, of which one is logged in with the same:
 * if it was refused, it may be one connection too many. */
bool credentials_end_beside(struct credentials *credentials, enum credentials_side side,
			    const struct credential **credential, const GError *error);
/* All is found anew, but for what was asked for on the terminal, and may be tried again. Before,
 * the keeper reads the configuration file again; what has changed, or is wrong there, is logged. */
void credentials_renew(struct credentials *credentials);
