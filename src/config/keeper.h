/* A process that finds the account's secrets again, for one that may have locked itself up and must
 * not wait: it runs the commands and reads the files, that of the configuration too. It was told
 * which when it was made, and takes no more than the number of one. */
#pragma once

#include "config/options.h"
#include "config/secret.h"

struct keeper;

enum keeper_secret { KEEPER_SMTP_PASSWORD, KEEPER_PASSWORD, KEEPER_TOKEN };

/* Starts the process. To be called by the main thread, before there is another one, a secret and
 * the sandbox. What commands say on stderr is lost in the background. NULL with ERROR_CONFIG. */
struct keeper *keeper_new(const struct options *options, GError **error);
/* What secret_find() and its likes do there. One at a time. `cancelled`: set by another thread,
 * ends it soon, and the process. */
bool keeper_find(struct keeper *keeper, enum keeper_secret which, const atomic_bool *cancelled,
		 struct secret **ret_secret, GError **error);
/* Reads the configuration file again there, likewise: reload_read() of config/reload.h. Of an
 * account of the file alone. */
bool keeper_reload(struct keeper *keeper, const atomic_bool *cancelled, char **ret_text,
		   GError **error);
/* Ends the process, and what it runs; or leaves it behind after some seconds, if it cannot end. */
void keeper_free(struct keeper **keeper);

/* The same, here. */
bool keeper_look(const struct account *account, enum keeper_secret which,
		 const atomic_bool *cancelled, struct secret **ret_secret, GError **error);
