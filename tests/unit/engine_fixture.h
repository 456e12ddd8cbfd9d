/* What the engine's tests share: an engine on the account in memory, and what it told. */
#pragma once

#include "memory_store.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/label.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct settled {
	struct need need;
	int error;
};

struct fixture {
	char *dir;
	char *state_dir;
	const struct store_ops *ops;
	struct account account;
	struct index *index;
	struct index_view *view;
	struct bodies *bodies;
	struct state *state;
	struct engine *engine;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	GArray *settled;
	GHashTable *names; /* those that were told to stand for something else; to how often */
	unsigned messages_gone, folders_gone, epochs_gone, messages_changed;
	unsigned bodies_ahead;
	unsigned news[NEWS_OFFLINE + 1]; /* by kind */
};

static inline void on_settled(void *data, const struct need *need, int error)
{
	struct fixture *fix = data;
	struct settled settled = {*need, error};

	pthread_mutex_lock(&fix->lock);
	g_array_append_val(fix->settled, settled);
	pthread_cond_broadcast(&fix->cond);
	pthread_mutex_unlock(&fix->lock);
}

static inline void count(struct fixture *fix, unsigned *counter)
{
	pthread_mutex_lock(&fix->lock);
	++*counter;
	pthread_cond_broadcast(&fix->cond);
	pthread_mutex_unlock(&fix->lock);
}

static inline void on_folder_changed(void *data, uint32_t folder)
{
}

static inline void on_folder_gone(void *data, uint32_t folder, uint32_t parent, const char *leaf)
{
	struct fixture *fix = data;

	count(fix, &fix->folders_gone);
}

static inline void on_message_gone(void *data, uint32_t folder, uint32_t epoch, uint32_t uid,
				   const char *label, const char *token, const char *chosen)
{
	struct fixture *fix = data;

	g_assert_cmpuint(strlen(token), ==, 4);
	count(fix, &fix->messages_gone);
}

static inline void on_name_changed(void *data, uint32_t folder, const char *name)
{
	struct fixture *fix = data;
	unsigned n;

	pthread_mutex_lock(&fix->lock);
	n = GPOINTER_TO_UINT(g_hash_table_lookup(fix->names, name));
	g_hash_table_insert(fix->names, g_strdup(name), GUINT_TO_POINTER(n + 1));
	pthread_cond_broadcast(&fix->cond);
	pthread_mutex_unlock(&fix->lock);
}

static inline void on_body_ahead(void *data, uint32_t epoch, uint32_t uid, uint64_t size)
{
	struct fixture *fix = data;

	count(fix, &fix->bodies_ahead);
}

static inline void on_message_changed(void *data, uint32_t epoch, uint32_t uid)
{
	struct fixture *fix = data;

	count(fix, &fix->messages_changed);
}

static inline void on_epoch_gone(void *data, uint32_t folder, uint32_t epoch)
{
	struct fixture *fix = data;

	count(fix, &fix->epochs_gone);
}

static inline void on_online(void *data)
{
}

static inline void on_news(void *data, const struct engine_news *news)
{
	struct fixture *fix = data;

	count(fix, &fix->news[news->kind]);
}

static const struct engine_events events = {
	.settled = on_settled,
	.folder_changed = on_folder_changed,
	.folder_gone = on_folder_gone,
	.message_gone = on_message_gone,
	.name_changed = on_name_changed,
	.body_ahead = on_body_ahead,
	.message_changed = on_message_changed,
	.epoch_gone = on_epoch_gone,
	.online = on_online,
	.news = on_news,
};

static inline char *same_name(const char *name, bool at_root)
{
	return g_strdup(name);
}

/* On what is in the directory already. */
static inline void fixture_run(struct fixture *fix)
{
	g_autoptr(GError) error = NULL;

	fix->index = index_open(fix->dir, fix->account.name, &error);
	g_assert_no_error(error);
	fix->bodies = bodies_open(fix->dir, fix->account.cache_size_bytes, &error);
	g_assert_no_error(error);
	fix->state = state_open(fix->state_dir, &error);
	g_assert_no_error(error);
	fix->view = index_view_new(fix->index, &error);
	g_assert_no_error(error);
	fix->engine = engine_new(&(struct engine_config){.names = {same_name, same_name},
							 .account = &fix->account,
							 .ops = fix->ops,
							 .index = fix->index,
							 .bodies = fix->bodies,
							 .state = fix->state},
				 &events, fix, &error);
	g_assert_no_error(error);
}

static inline void fixture_open_with(struct fixture *fix, const struct store_ops *ops)
{
	g_autoptr(GError) error = NULL;

	memset(fix, 0, sizeof(*fix));
	memory_reset();
	fix->ops = ops;
	fix->dir = g_dir_make_tmp("mailfs-engine-XXXXXX", &error);
	g_assert_no_error(error);
	fix->state_dir = g_build_filename(fix->dir, "state", NULL);
	fix->account = (struct account){.name = (char *)"alice@memory",
					.user = (char *)"alice",
					.host = (char *)"memory",
					.poll_s = 30,
					.timeout_s = 5,
					.cache_size_bytes = 1 << 20};
	pthread_mutex_init(&fix->lock, NULL);
	pthread_cond_init(&fix->cond, NULL);
	fix->settled = g_array_new(FALSE, FALSE, sizeof(struct settled));
	fix->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	fixture_run(fix);
}

static inline void fixture_open(struct fixture *fix)
{
	fixture_open_with(fix, &store_memory);
}

static inline void fixture_start(struct fixture *fix)
{
	g_autoptr(GError) error = NULL;

	engine_start(fix->engine);
	engine_wait_ready(fix->engine, &error);
	g_assert_no_error(error);
}

/* As a program that ends; fixture_run() is the next one. */
static inline void fixture_end(struct fixture *fix)
{
	engine_free(&fix->engine);
	index_view_free(&fix->view);
	state_close(&fix->state);
	bodies_close(&fix->bodies);
	index_close(&fix->index);
}

static inline void fixture_close(struct fixture *fix)
{
	fixture_end(fix);
	g_array_unref(fix->settled);
	g_hash_table_unref(fix->names);
	g_assert_true(file_remove_tree(fix->dir, NULL));
	g_free(fix->state_dir);
	g_free(fix->dir);
	pthread_cond_destroy(&fix->cond);
	pthread_mutex_destroy(&fix->lock);
}

static inline void wait_cond(struct fixture *fix)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 20;
	g_assert_cmpint(pthread_cond_timedwait(&fix->cond, &fix->lock, &end), ==, 0);
}

/* States the need and gives how it was settled. */
static inline int ask(struct fixture *fix, enum need_kind kind, uint32_t id, uint32_t uid,
		      uint64_t upto)
{
	struct need need = {.kind = kind, .id = id, .uid = uid, .upto = upto};
	unsigned seen;
	int error = -1;

	pthread_mutex_lock(&fix->lock);
	seen = fix->settled->len;
	pthread_mutex_unlock(&fix->lock);
	engine_need(fix->engine, &need);
	pthread_mutex_lock(&fix->lock);
	while (error < 0) {
		for (; error < 0 && seen < fix->settled->len; seen++) {
			const struct settled *settled =
				&g_array_index(fix->settled, struct settled, seen);

			if (need_equal(&settled->need, &need))
				error = settled->error;
		}
		if (error < 0)
			wait_cond(fix);
	}
	pthread_mutex_unlock(&fix->lock);
	return error;
}

static inline uint32_t folder_id(struct fixture *fix, const char *leaf)
{
	struct folder_row row;
	uint32_t id;

	g_assert_true(index_folder_child(fix->view, INDEX_ROOT, leaf, &row));
	id = row.id;
	folder_row_clear(&row);
	return id;
}

static inline struct folder_row folder(struct fixture *fix, const char *leaf)
{
	struct folder_row row;

	g_assert_true(index_folder_child(fix->view, INDEX_ROOT, leaf, &row));
	return row;
}

/* The row of INBOX, listed for the first time. */
static inline struct folder_row start_and_list(struct fixture *fix)
{
	fixture_start(fix);
	g_assert_cmpint(ask(fix, NEED_FOLDER, folder_id(fix, "INBOX"), 0, 0), ==, 0);
	return folder(fix, "INBOX");
}

static inline unsigned jobs(enum store_job_kind kind)
{
	return memory_count(&memory.jobs[kind]);
}

static inline void assert_body(struct fixture *fix, uint32_t epoch, uint32_t uid,
			       const char *expected)
{
	char bytes[256] = "";
	struct file_span span;

	g_assert_true(bodies_get(fix->bodies, epoch, uid, UINT64_MAX, &span));
	g_assert_cmpuint(span.size, ==, strlen(expected));
	g_assert_cmpuint(span.size, <, sizeof(bytes));
	g_assert_cmpint(pread(span.fd, bytes, span.size, (off_t)span.start), ==,
			(ssize_t)span.size);
	g_assert_cmpstr(bytes, ==, expected);
	close(span.fd);
}
