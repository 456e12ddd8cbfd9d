/* A tree over a real index and real message files, with an engine that only notes what it is asked.
 */
#pragma once

#include "base/file.h"
#include "state/changes.h"
#include "state/names.h"
#include "state/spool.h"
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
	unsigned changes;    /* calls of engine_changed() */
	unsigned reconnects; /* calls of engine_reconnect() */
	unsigned abilities;
	uint64_t append_max;
	bool rights_known;
	struct store_rights rights;
	const char *keyword; /* that exists in every folder; may be NULL */
	enum sizes_trust trust;
	struct arrivals arrivals;
	struct seqset late;
	unsigned late_asked; /* calls of engine_came_late() */
	/* The last operation on a folder, with strings of its own, and its ticket. */
	struct folder_op op;
	uint32_t ticket;
};

struct fixture {
	char *dir;
	struct account account;
	struct engine engine;
	struct index *index;
	struct bodies *bodies;
	struct state *state;
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

void engine_reconnect(struct engine *engine)
{
	engine->reconnects++;
}

void engine_opened(struct engine *engine, uint32_t epoch, uint32_t uid)
{
}

void engine_read(struct engine *engine, uint32_t epoch, uint32_t uid)
{
}

bool engine_folder_is_fresh(struct engine *engine, uint32_t folder)
{
	return engine->folder_fresh;
}

struct arrivals engine_arrivals(struct engine *engine, uint32_t folder)
{
	return engine->arrivals;
}

bool engine_came_late(struct engine *engine, const struct folder_row *folder, uint32_t uid)
{
	engine->late_asked++;
	return seqset_contains(&engine->late, uid);
}

uint32_t engine_next_late(struct engine *engine, const struct folder_row *folder, uint32_t after)
{
	return seqset_next(&engine->late, after);
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

void engine_changed(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->changes++;
	pthread_mutex_unlock(&engine->lock);
}

unsigned engine_abilities(struct engine *engine, uint64_t *ret_append_max_bytes)
{
	*ret_append_max_bytes = engine->append_max;
	return engine->abilities;
}

bool engine_rights(struct engine *engine, uint32_t folder, struct store_rights *ret)
{
	if (engine->rights_known)
		*ret = engine->rights;
	return engine->rights_known;
}

bool engine_last_rights(struct engine *engine, uint32_t folder, struct store_rights *ret)
{
	return engine_rights(engine, folder, ret);
}

bool engine_has_keyword(struct engine *engine, uint32_t folder, const char *keyword)
{
	return engine->keyword != NULL && g_ascii_strcasecmp(engine->keyword, keyword) == 0;
}

enum sizes_trust engine_trusts_sizes(struct engine *engine)
{
	return engine->trust;
}

static inline void engine_op_clear(struct engine *engine)
{
	g_free((char *)engine->op.mailbox);
	g_free((char *)engine->op.target);
	memset(&engine->op, 0, sizeof(engine->op));
}

uint32_t engine_folder_op(struct engine *engine, const struct folder_op *op)
{
	engine_op_clear(engine);
	engine->op = *op;
	engine->op.mailbox = g_strdup(op->mailbox);
	engine->op.target = g_strdup(op->target);
	return ++engine->ticket;
}

/* --- making and filling --- */

/* Everything is allowed and known; that sizes lie makes readers wait for small messages. */
static inline void engine_up(struct engine *engine)
{
	pthread_mutex_init(&engine->lock, NULL);
	engine->folder_fresh = true;
	engine->folders_fresh = true;
	engine->abilities = STORE_CAN_CHANGE | STORE_CAN_MOVE | STORE_CAN_EXPUNGE;
	engine->append_max = UINT64_MAX;
	engine->rights_known = true;
	engine->rights.may = STORE_MAY_ALL;
	engine->rights.flags = STORE_FLAG_SEEN | STORE_FLAG_ANSWERED | STORE_FLAG_FLAGGED |
			       STORE_FLAG_DELETED | STORE_FLAG_DRAFT;
	engine->trust = SIZES_LIE;
}

static inline void open_state(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = g_build_filename(f->dir, "state", NULL);

	f->state = state_open(dir, &error);
	g_assert_no_error(error);
}

static void fixture_up(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct tree_config config;

	memset(f, 0, sizeof(*f));
	engine_up(&f->engine);
	f->dir = g_dir_make_tmp("mailfs-tree-XXXXXX", &error);
	g_assert_no_error(error);
	open_state(f);
	f->index = index_open(f->dir, "alice@host", &error);
	g_assert_no_error(error);
	f->bodies = bodies_open(f->dir, 1 << 30, &error);
	g_assert_no_error(error);
	config = (struct tree_config){.account = &f->account,
				      .index = f->index,
				      .bodies = f->bodies,
				      .state = f->state,
				      .engine = &f->engine};
	f->tree = tree_new(&config, &error);
	g_assert_no_error(error);
}

static void fixture_down(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	tree_free(&f->tree);
	state_close(&f->state);
	bodies_close(&f->bodies);
	index_close(&f->index);
	file_remove_tree(f->dir, &error);
	g_assert_no_error(error);
	g_free(f->dir);
	engine_op_clear(&f->engine);
	seqset_clear(&f->engine.late);
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

/* What the state is told of a folder, as the index has it. Clear `row` after use. */
static inline struct state_box box_of(struct fixture *f, uint32_t folder, struct folder_row *row)
{
	g_assert_true(index_folder_write_get(f->index, folder, row));
	return (struct state_box){.folder = folder,
				  .epoch = row->epoch,
				  .mailbox = row->name,
				  .uidvalidity = row->uidvalidity};
}

static inline uint32_t open_folder(struct fixture *f, uint32_t folder, uint64_t uidvalidity)
{
	uint32_t old, epoch = index_folder_open(f->index, folder, uidvalidity, NOW_NS, &old);
	struct folder_row row;
	struct state_box box = box_of(f, folder, &row);

	g_assert_cmpuint(epoch, !=, 0);
	state_bind(f->state, &box, NULL, NULL);
	folder_row_clear(&row);
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

	bodies_part_begin(f->bodies, epoch, uid, &from);
	bytes = g_malloc(received - from + 1);
	for (uint64_t at = from; at < received; at++)
		bytes[at - from] = pattern(at);
	g_assert_true(
		bodies_part_write(f->bodies, epoch, uid, from, bytes, received - from, &error));
	bodies_part_publish(f->bodies, epoch, uid, received);
	bodies_part_rest(f->bodies, epoch, uid);
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
