#include "fuse/notify.h"
#include "fuse/library.h"

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define PAGES_QUEUED 1024 /* files */

enum notify_state { NOTIFY_IDLE, NOTIFY_RUNNING, NOTIFY_STOPPED };

struct note {
	uint64_t node;		      /* of a name: its folder */
	char *name;		      /* NULL: the attributes of `node` */
	struct fuse_pollhandle *poll; /* not NULL: neither, but who polls */
};

/* A file for the kernel's cache. */
struct pages {
	uint64_t node;
	uint32_t size;
};

/* A directory that is locked by requests that wait. */
struct held {
	unsigned count;
	GQueue names; /* of struct note */
};

struct notify {
	struct fuse_session *session;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	enum notify_state state;
	GQueue queue;	   /* of struct note */
	GHashTable *attrs; /* &note->node of the queued ones without a name */
	GHashTable *held;  /* node -> struct held */
	GArray *pages;	   /* of struct pages */
	guint first_pages; /* those before it are done */
	notify_bytes_fn bytes;
	void *bytes_data;
	void *buffer; /* the thread's own */
	pthread_t thread;
};

static void note_free(void *data)
{
	struct note *note = data;

	if (note->poll)
		fuse_pollhandle_destroy(note->poll);
	g_free(note->name);
	g_free(note);
}

static void held_free(void *data)
{
	struct held *held = data;

	g_queue_clear_full(&held->names, note_free);
	g_free(held);
}

/* The next that can be told; NULL: there is none. */
static struct note *pop_locked(struct notify *notify)
{
	struct note *note;

	while ((note = g_queue_pop_head(&notify->queue))) {
		struct held *held =
			note->name ? g_hash_table_lookup(notify->held, &note->node) : NULL;

		if (!held)
			break;
		g_queue_push_tail(&held->names, note);
	}
	if (note && !note->name && !note->poll)
		g_hash_table_remove(notify->attrs, &note->node);
	return note;
}

static bool pop_pages_locked(struct notify *notify, struct pages *ret)
{
	if (notify->first_pages == notify->pages->len)
		return false;
	*ret = g_array_index(notify->pages, struct pages, notify->first_pages++);
	if (notify->first_pages == notify->pages->len) {
		g_array_set_size(notify->pages, 0);
		notify->first_pages = 0;
	}
	return true;
}

/* False at the end. `*ret_note` NULL: it is `*ret_pages`. */
static bool take(struct notify *notify, struct note **ret_note, struct pages *ret_pages)
{
	struct note *note = NULL;
	bool running;

	pthread_mutex_lock(&notify->mutex);
	while (notify->state == NOTIFY_RUNNING && !(note = pop_locked(notify)) &&
	       !pop_pages_locked(notify, ret_pages))
		pthread_cond_wait(&notify->wake, &notify->mutex);
	running = notify->state == NOTIFY_RUNNING;
	pthread_mutex_unlock(&notify->mutex);
	*ret_note = note;
	return running || note;
}

/* This waits for readers of the same pages, who wait for nobody: what is here is read at once. */
static void send_pages(struct notify *notify, const struct pages *pages)
{
	struct fuse_bufvec vector = FUSE_BUFVEC_INIT(pages->size);
	int result;

	if (!notify->bytes(notify->bytes_data, pages->node, pages->size, notify->buffer))
		return;
	vector.buf[0].mem = notify->buffer;
	result = fuse_lowlevel_notify_store(notify->session, pages->node, 0, &vector, 0);
	if (result && result != -ENOENT)
		log_debug("notify %" G_GINT64_MODIFIER "x pages: %s", pages->node,
			  g_strerror(-result));
}

static void send_note(struct notify *notify, const struct note *note)
{
	int result;

	if (note->poll)
		result = fuse_lowlevel_notify_poll(note->poll);
	else if (note->name)
		result = fuse_lowlevel_notify_inval_entry(notify->session, note->node, note->name,
							  strlen(note->name));
	else
		result = fuse_lowlevel_notify_inval_inode(notify->session, note->node, -1, 0);
	/* ENOENT: the kernel has forgotten it by itself. */
	if (result && result != -ENOENT)
		log_debug("notify %" G_GINT64_MODIFIER "x %s: %s", note->node,
			  note->name ? note->name : "attributes", g_strerror(-result));
}

static void *notify_main(void *data)
{
	struct notify *notify = data;
	struct pages pages;
	struct note *note;

	while (take(notify, &note, &pages)) {
		if (note) {
			send_note(notify, note);
			note_free(note);
		} else {
			send_pages(notify, &pages);
		}
	}
	return NULL;
}

struct notify *notify_new(struct fuse_session *session)
{
	struct notify *notify = g_new0(struct notify, 1);

	notify->session = session;
	pthread_mutex_init(&notify->mutex, NULL);
	pthread_cond_init(&notify->wake, NULL);
	g_queue_init(&notify->queue);
	notify->attrs = g_hash_table_new(g_int64_hash, g_int64_equal);
	notify->pages = g_array_new(FALSE, FALSE, sizeof(struct pages));
	notify->buffer = g_malloc(NOTIFY_PAGES_SIZE);
	notify->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, held_free);
	return notify;
}

void notify_set_bytes(struct notify *notify, notify_bytes_fn bytes, void *data)
{
	notify->bytes = bytes;
	notify->bytes_data = data;
}

void notify_start(struct notify *notify)
{
	pthread_mutex_lock(&notify->mutex);
	if (notify->state == NOTIFY_IDLE) {
		notify->state = NOTIFY_RUNNING;
		if (pthread_create(&notify->thread, NULL, notify_main, notify))
			g_error("cannot start a thread");
	}
	pthread_mutex_unlock(&notify->mutex);
}

void notify_stop(struct notify *notify)
{
	bool running;

	pthread_mutex_lock(&notify->mutex);
	running = notify->state == NOTIFY_RUNNING;
	notify->state = NOTIFY_STOPPED;
	pthread_cond_signal(&notify->wake);
	pthread_mutex_unlock(&notify->mutex);
	if (running)
		pthread_join(notify->thread, NULL);
}

void notify_free(struct notify **notify)
{
	if (!*notify)
		return;
	notify_stop(*notify);
	g_hash_table_unref((*notify)->attrs);
	g_hash_table_unref((*notify)->held);
	g_queue_clear_full(&(*notify)->queue, note_free);
	g_array_unref((*notify)->pages);
	g_free((*notify)->buffer);
	pthread_cond_destroy(&(*notify)->wake);
	pthread_mutex_destroy(&(*notify)->mutex);
	g_clear_pointer(notify, g_free);
}

void notify_hold(struct notify *notify, uint64_t directory)
{
	struct held *held;

	pthread_mutex_lock(&notify->mutex);
	held = g_hash_table_lookup(notify->held, &directory);
	if (!held) {
		held = g_new0(struct held, 1);
		g_queue_init(&held->names);
		g_hash_table_insert(notify->held, g_memdup2(&directory, sizeof(directory)), held);
	}
	held->count++;
	pthread_mutex_unlock(&notify->mutex);
}

void notify_release(struct notify *notify, uint64_t directory)
{
	struct held *held;
	struct note *note;

	pthread_mutex_lock(&notify->mutex);
	held = g_hash_table_lookup(notify->held, &directory);
	if (held && --held->count == 0) {
		while ((note = g_queue_pop_head(&held->names)))
			g_queue_push_tail(&notify->queue, note);
		g_hash_table_remove(notify->held, &directory);
		pthread_cond_signal(&notify->wake);
	}
	pthread_mutex_unlock(&notify->mutex);
}

static void push_locked(struct notify *notify, const struct note *note)
{
	struct note *copy = g_memdup2(note, sizeof(*note));

	if (!copy->name && !copy->poll)
		g_hash_table_add(notify->attrs, &copy->node);
	g_queue_push_tail(&notify->queue, copy);
	pthread_cond_signal(&notify->wake);
}

void notify_attr(struct notify *notify, uint64_t node)
{
	pthread_mutex_lock(&notify->mutex);
	if (notify->state == NOTIFY_RUNNING && !g_hash_table_contains(notify->attrs, &node))
		push_locked(notify, &(struct note){.node = node});
	pthread_mutex_unlock(&notify->mutex);
}

void notify_name(struct notify *notify, uint64_t parent, char *name)
{
	bool running;

	pthread_mutex_lock(&notify->mutex);
	running = notify->state == NOTIFY_RUNNING;
	if (running)
		push_locked(notify, &(struct note){.node = parent, .name = name});
	pthread_mutex_unlock(&notify->mutex);
	if (!running)
		g_free(name);
}

void notify_pages(struct notify *notify, uint64_t node, uint64_t size)
{
	struct pages pages = {node, (uint32_t)size};

	if (size == 0 || size > NOTIFY_PAGES_SIZE)
		return;
	pthread_mutex_lock(&notify->mutex);
	if (notify->state == NOTIFY_RUNNING && notify->bytes &&
	    notify->pages->len - notify->first_pages < PAGES_QUEUED) {
		g_array_append_val(notify->pages, pages);
		pthread_cond_signal(&notify->wake);
	}
	pthread_mutex_unlock(&notify->mutex);
}

void notify_poll(struct notify *notify, struct fuse_pollhandle *handle)
{
	bool running;

	pthread_mutex_lock(&notify->mutex);
	running = notify->state == NOTIFY_RUNNING;
	if (running)
		push_locked(notify, &(struct note){.poll = handle});
	pthread_mutex_unlock(&notify->mutex);
	if (!running)
		fuse_pollhandle_destroy(handle);
}
