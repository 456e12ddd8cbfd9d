/* A tree over a real index and real message files, with an engine that only notes what it is asked.
 */
#pragma once

#include "base/file.h"
#include "store/store.h"
#include "tree/file.h"
#include "tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NOW_NS 1700000000000000000

struct engine {
	pthread_mutex_t lock;
	bool stalled;
	bool folder_fresh;
	bool folders_fresh;
	bool has_quota;
	uint64_t used, limit;
	unsigned needs; /* stated by engine_need() */
	struct need last;
};

struct fixture {
	char *dir;
	struct account account;
	struct engine engine;
	struct index *index;
	struct bodies *bodies;
	struct tree *tree;
	struct tree_call call;
};

/* --- the engine as the tree sees it --- */

void engine_need(struct engine *engine, const struct need *need)
{
	pthread_mutex_lock(&engine->lock);
	engine->needs++;
	engine->last = *need;
	pthread_mutex_unlock(&engine->lock);
}

void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid)
{
}

bool engine_folder_is_fresh(struct engine *engine, uint32_t folder)
{
	return engine->folder_fresh;
}

bool engine_folders_are_fresh(struct engine *engine)
{
	return engine->folders_fresh;
}

bool engine_is_stalled(struct engine *engine)
{
	return engine->stalled;
}

bool engine_quota(struct engine *engine, uint64_t *ret_used_bytes, uint64_t *ret_limit_bytes)
{
	if (!engine->has_quota)
		return false;
	*ret_used_bytes = engine->used;
	*ret_limit_bytes = engine->limit;
	return true;
}

char *engine_status(struct engine *engine)
{
	return g_strdup("state: fine\n");
}

/* --- making and filling --- */

static void fixture_up(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct tree_config config;

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->engine.lock, NULL);
	f->dir = g_dir_make_tmp("mailfs-tree-XXXXXX", &error);
	g_assert_no_error(error);
	f->engine.folder_fresh = true;
	f->engine.folders_fresh = true;
	f->index = index_open(f->dir, "alice@host", &error);
	g_assert_no_error(error);
	f->bodies = bodies_open(f->dir, 1 << 30, &error);
	g_assert_no_error(error);
	config = (struct tree_config){.account = &f->account,
				      .index = f->index,
				      .bodies = f->bodies,
				      .engine = &f->engine};
	f->tree = tree_new(&config, &error);
	g_assert_no_error(error);
}

static void fixture_down(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	tree_free(&f->tree);
	bodies_close(&f->bodies);
	index_close(&f->index);
	file_remove_tree(f->dir, &error);
	g_assert_no_error(error);
	g_free(f->dir);
	pthread_mutex_destroy(&f->engine.lock);
}

static inline void commit(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	index_commit(f->index, &error);
	g_assert_no_error(error);
}

static inline void ignore_folder(void *data, const struct folder_row *row)
{
}

/* The list of folders is exactly these names. */
static inline void set_folders(struct fixture *f, const char *const *names)
{
	for (size_t i = 0; names[i] != NULL; i++)
		index_folder_seen(f->index, names[i], '/', 0, NOW_NS);
	index_folders_sweep(f->index, NOW_NS, ignore_folder, NULL);
	commit(f);
}

static inline uint32_t folder_id(struct fixture *f, uint32_t parent, const char *leaf)
{
	g_autoptr(GError) error = NULL;
	struct index_view *view = index_view_new(f->index, &error);
	struct folder_row row;
	uint32_t id;

	g_assert_no_error(error);
	g_assert_true(index_folder_child(view, parent, leaf, &row));
	id = row.id;
	folder_row_clear(&row);
	index_view_free(&view);
	return id;
}

static inline uint32_t open_folder(struct fixture *f, uint32_t folder, uint64_t uidvalidity)
{
	uint32_t old, epoch = index_folder_open(f->index, folder, uidvalidity, NOW_NS, &old);

	g_assert_cmpuint(epoch, !=, 0);
	return epoch;
}

static inline void put(struct fixture *f, uint32_t epoch, uint32_t uid, const char *label,
		       uint64_t size)
{
	struct message_row row = {.uid = uid,
				  .size_hint = size,
				  .date_s = 1000000000,
				  .keywords = "",
				  .label = label};

	index_message_put(f->index, epoch, &row, NOW_NS);
}

/* INBOX with these UIDs, labelled "m", of 10 bytes; synced. Returns the epoch. */
static inline uint32_t fill_inbox(struct fixture *f, const uint32_t *uids, size_t count)
{
	static const char *const names[] = {"INBOX", NULL};
	uint32_t folder, epoch;

	set_folders(f, names);
	folder = folder_id(f, INDEX_ROOT, "INBOX");
	epoch = open_folder(f, folder, 1);
	for (size_t i = 0; i < count; i++)
		put(f, epoch, uids[i], "m", 10);
	index_folder_refreshed(f->index, folder, UINT32_MAX, 0);
	commit(f);
	return epoch;
}

/* The part begins, or goes on to hold `received` bytes of the pattern. */
static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 31 + at / 251);
}

static inline void receive(struct fixture *f, uint32_t epoch, uint32_t uid, uint64_t received)
{
	g_autoptr(GError) error = NULL;
	g_autofree uint8_t *bytes = NULL;
	uint64_t from;

	g_assert_true(bodies_part_begin(f->bodies, epoch, uid, &from, &error));
	bytes = g_malloc(received - from + 1);
	for (uint64_t at = from; at < received; at++)
		bytes[at - from] = pattern(at);
	g_assert_true(
		bodies_part_write(f->bodies, epoch, uid, from, bytes, received - from, &error));
	bodies_part_publish(f->bodies, epoch, uid, received);
}

static inline void complete(struct fixture *f, uint32_t epoch, uint32_t uid, uint64_t size)
{
	g_autoptr(GError) error = NULL;

	receive(f, epoch, uid, size);
	g_assert_true(bodies_part_commit(f->bodies, epoch, uid, size, &error));
	index_message_size(f->index, epoch, uid, size);
	commit(f);
}

static inline void ignore_message(void *data, uint32_t uid, const char *label)
{
}

/* Every message of the epoch goes. */
static inline void expunge(struct fixture *f, uint32_t epoch)
{
	struct seqset none = {NULL};

	index_messages_keep(f->index, epoch, &none, UINT32_MAX, ignore_message, NULL);
	commit(f);
	bodies_drop_epoch(f->bodies, epoch);
}
