#include "fuse/notify.h"
#include "fuse/library.h"

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum notify_state { NOTIFY_IDLE, NOTIFY_RUNNING, NOTIFY_STOPPED };

struct note {
	uint64_t node; /* of a name: its folder */
	char *name;    /* NULL: the attributes of `node` */
	struct fuse_pollhandle *poll; /* not NULL: neither, but who polls */
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

static struct note *take(struct notify *notify)
{
	struct note *note = NULL;

	pthread_mutex_lock(&notify->mutex);
	while (notify->state == NOTIFY_RUNNING && !(note = pop_locked(notify)))
		pthread_cond_wait(&notify->wake, &notify->mutex);
	pthread_mutex_unlock(&notify->mutex);
	return note;
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
	struct note *note;

	while ((note = take(notify))) {
		send_note(notify, note);
		note_free(note);
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
	notify->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, held_free);
	return notify;
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
