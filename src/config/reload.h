/* The configuration file, read again while one of its accounts is mounted. Where secrets come from
 * is told from then on; all else is as it was when it was mounted. One thread. */
#pragma once

#include "config/options.h"

struct reload;

/* `options` are what it was mounted with; borrowed. */
struct reload *reload_new(const struct options *options);
void reload_free(struct reload **reload);
/* What has changed, as one line for people (NULL: nothing; free with g_free()). ERROR_CONFIG: it
 * cannot be read, and nothing has. */
bool reload_read(struct reload *reload, char **ret_text, GError **error);
/* Whose secrets are to be found now; until the next reload_read(). */
const struct account *reload_account(const struct reload *reload);
/* Passwords in the file may be those of another server than the mounted one. */
bool reload_has_moved(const struct reload *reload);
