/* The account's actor: one thread that owns the connections and writes the index. Everyone else
 * reads the index and states needs.
 *
 * Every need that is stated is settled: with 0 when it is met (or got further: a body, a long
 * listing), with an errno when it cannot be (EHOSTUNREACH, ETIMEDOUT, EACCES, ENOENT, ESTALE, EIO).
 * The server's silence settles it at the account's timeout.
 */
#pragma once

#include "cache/bodies.h"
#include "cache/index.h"
#include "config/account.h"
#include "config/secret.h"
#include "engine/need.h"
#include "store/store.h"

struct engine;

/* Called in the engine thread after the commit that made it true; must not block nor call the
 * engine's stop function. Ids and copies only. */
struct engine_events {
	void (*settled)(void *data, const struct need *need, int error);
	/* The entries of a folder changed (messages or child folders). INDEX_ROOT: the root. */
	void (*folder_changed)(void *data, uint32_t folder);
	void (*folder_gone)(void *data, uint32_t folder, uint32_t parent, const char *leaf);
	/* `token`: the folder's, for the name (semantics: "Names"). */
	void (*message_gone)(void *data, uint32_t folder, uint32_t epoch, uint32_t uid,
			     const char *label, const char *token);
	/* Flags (ctime). */
	void (*message_changed)(void *data, uint32_t epoch, uint32_t uid);
	/* The UIDVALIDITY changed: every node of the epoch is stale. */
	void (*epoch_gone)(void *data, uint32_t folder, uint32_t epoch);
};

struct engine_config {
	const struct account *account; /* borrowed, as the rest */
	const struct secret *secret;
	const struct store_ops *ops; /* the backend: &store_imap */
	struct index *index;
	struct bodies *bodies;
};

/* ERROR_IO. */
struct engine *engine_new(const struct engine_config *config, const struct engine_events *events,
			  void *data, GError **error);
/* Starts the thread. */
void engine_start(struct engine *engine);
/* Waits until the account is logged in and its folders are listed (true), or the first attempt
 * failed. */
bool engine_wait_ready(struct engine *engine, GError **error);
/* Ends the thread within a fraction of a second; open needs are settled with ECONNABORTED. */
void engine_stop(struct engine *engine);
void engine_free(struct engine **engine);

/* --- any thread --- */

void engine_need(struct engine *engine, const struct need *need);
/* A reader opened this message: readers in order are read ahead for. */
void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid);
/* At most poll seconds old. Asking counts as use: folders in use are polled. */
bool engine_folder_is_fresh(struct engine *engine, uint32_t folder);
bool engine_folders_are_fresh(struct engine *engine);
/* The server has left something unanswered for a second or is not connected: waiting for
 * freshness is pointless. */
bool engine_is_stalled(struct engine *engine);
/* Drops the back-off, or a refused login, and connects anew (SIGHUP). */
void engine_reconnect(struct engine *engine);
/* For df; false if the server told no quota. */
bool engine_quota(struct engine *engine, uint64_t *ret_used_bytes, uint64_t *ret_limit_bytes);
/* The text of .mailfs/status. Free with g_free(). */
char *engine_status(struct engine *engine);
