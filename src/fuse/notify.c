#include "fuse/notify.h"
#include "fuse/known.h"
#include "fuse/library.h"

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define PAGES_QUEUED 1024 /* files */
#define SWEEPS_MAX 16	  /* beyond it, all that is known is swept */
#define SWEEP_STEP 256	  /* nodes; between them what else is to be told gets its turn */
#define HELD_MAX 1024	  /* names, of all directories */

enum notify_state { NOTIFY_IDLE, NOTIFY_RUNNING, NOTIFY_STOPPED };

struct note {
	uint64_t node;		      /* of a name: its folder */
	char *name;		      /* NULL: the attributes of `node` */
	struct fuse_pollhandle *poll; /* not NULL: neither, but who polls */
	uint64_t of;		      /* what the name stands for; 0: not known */
};

enum sweep_depth { SWEEP_ATTRS = 1, SWEEP_NAMES };

/* The one under way. The thread's own. */
struct sweep {
	enum sweep_depth depth;
	GArray *nodes; /* NULL: there is none */
	guint next;
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
	bool sweep;   /* there were too many: */
	uint64_t of;  /* what is to be swept instead */
};

struct notify {
	struct fuse_session *session;
	struct known *known;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	enum notify_state state;
	GQueue queue;	   /* of struct note */
	GHashTable *attrs; /* &note->node of the queued ones without a name */
	GHashTable *held;  /* node -> struct held */
	unsigned held_names;
	GHashTable *sweeps; /* a node of those that are to be swept -> enum sweep_depth; 0: all */
	struct sweep sweep;
	GArray *pages;	   /* of struct pages */
	guint first_pages; /* those before it are done */
	notify_bytes_fn bytes;
	notify_names_fn names;
	void *source_data;
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

static uint64_t siblings_key(uint64_t node)
{
	return node ? node >> 32 << 32 | 1 : 0;
}

static void hold_locked(struct notify *notify, struct held *held, struct note *note)
{
	if (!held->sweep && notify->held_names < HELD_MAX) {
		g_queue_push_tail(&held->names, note);
		notify->held_names++;
		return;
	}
	if (!held->sweep)
		held->of = note->of;
	else if (siblings_key(held->of) != siblings_key(note->of))
		held->of = 0;
	held->sweep = true;
	note_free(note);
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
		hold_locked(notify, held, note);
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

enum work { WORK_NONE, WORK_END, WORK_NOTE, WORK_SWEEP, WORK_PAGES };

static enum work find_work_locked(struct notify *notify, struct note **ret_note,
				  struct pages *ret_pages)
{
	if (notify->state != NOTIFY_RUNNING)
		return WORK_END;
	if ((*ret_note = pop_locked(notify)))
		return WORK_NOTE;
	if (notify->sweep.nodes || g_hash_table_size(notify->sweeps) > 0)
		return WORK_SWEEP;
	return pop_pages_locked(notify, ret_pages) ? WORK_PAGES : WORK_NONE;
}

static enum work take(struct notify *notify, struct note **ret_note, struct pages *ret_pages)
{
	enum work work;

	pthread_mutex_lock(&notify->mutex);
	while ((work = find_work_locked(notify, ret_note, ret_pages)) == WORK_NONE)
		pthread_cond_wait(&notify->wake, &notify->mutex);
	pthread_mutex_unlock(&notify->mutex);
	return work;
}

/* --- sweeps --- */

static void sweep_begin(struct notify *notify)
{
	GHashTableIter iter;
	gpointer node, depth;

	pthread_mutex_lock(&notify->mutex);
	g_hash_table_iter_init(&iter, notify->sweeps);
	g_hash_table_iter_next(&iter, &node, &depth);
	notify->sweep = (struct sweep){.depth = GPOINTER_TO_UINT(depth)};
	g_hash_table_iter_steal(&iter);
	pthread_mutex_unlock(&notify->mutex);
	/* Known by now: what is to be told of was so before, and is not listed any more. */
	notify->sweep.nodes = known_siblings(notify->known, *(uint64_t *)node);
	g_free(node);
}

static void sweep_on(struct notify *notify)
{
	struct sweep *sweep = &notify->sweep;
	const uint64_t *nodes;
	guint count;

	if (!sweep->nodes)
		sweep_begin(notify);
	nodes = (const uint64_t *)(void *)sweep->nodes->data + sweep->next;
	count = MIN(sweep->nodes->len - sweep->next, SWEEP_STEP);
	if (count > 0 && sweep->depth == SWEEP_NAMES && notify->names)
		notify->names(notify->source_data, nodes, count);
	for (guint i = 0; i < count; i++)
		notify_attr(notify, nodes[i]);
	sweep->next += count;
	if (sweep->next == sweep->nodes->len)
		g_clear_pointer(&sweep->nodes, g_array_unref);
}

static void sweep_locked(struct notify *notify, uint64_t node, enum sweep_depth depth)
{
	const uint64_t all = 0;
	uint64_t key = siblings_key(node);
	unsigned before;

	if (g_hash_table_size(notify->sweeps) >= SWEEPS_MAX &&
	    !g_hash_table_contains(notify->sweeps, &key))
		key = all;
	if (g_hash_table_contains(notify->sweeps, &all))
		key = all;
	if (key == all) {
		g_hash_table_remove_all(notify->sweeps);
		depth = SWEEP_NAMES;
	}
	before = GPOINTER_TO_UINT(g_hash_table_lookup(notify->sweeps, &key));
	g_hash_table_replace(notify->sweeps, g_memdup2(&key, sizeof(key)),
			     GUINT_TO_POINTER(MAX(before, (unsigned)depth)));
	pthread_cond_signal(&notify->wake);
}

/* --- the thread --- */

/* This waits for readers of the same pages, who wait for nobody: what is here is read at once. */
static void send_pages(struct notify *notify, const struct pages *pages)
{
	struct fuse_bufvec vector = FUSE_BUFVEC_INIT(pages->size);
	int result;

	if (!notify->bytes(notify->source_data, pages->node, pages->size, notify->buffer))
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

	for (;;) {
		switch (take(notify, &note, &pages)) {
		case WORK_NOTE:
			send_note(notify, note);
			note_free(note);
			break;
		case WORK_SWEEP:
			sweep_on(notify);
			break;
		case WORK_PAGES:
			send_pages(notify, &pages);
			break;
		default:
			return NULL;
		}
	}
}

struct notify *notify_new(struct fuse_session *session, struct known *known)
{
	struct notify *notify = g_new0(struct notify, 1);

	notify->session = session;
	notify->known = known;
	pthread_mutex_init(&notify->mutex, NULL);
	pthread_cond_init(&notify->wake, NULL);
	g_queue_init(&notify->queue);
	notify->attrs = g_hash_table_new(g_int64_hash, g_int64_equal);
	notify->sweeps = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	notify->pages = g_array_new(FALSE, FALSE, sizeof(struct pages));
	notify->buffer = g_malloc(NOTIFY_PAGES_SIZE);
	notify->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, held_free);
	return notify;
}

void notify_set_source(struct notify *notify, notify_bytes_fn bytes, notify_names_fn names,
		       void *data)
{
	notify->bytes = bytes;
	notify->names = names;
	notify->source_data = data;
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
	g_hash_table_unref((*notify)->sweeps);
	if ((*notify)->sweep.nodes)
		g_array_unref((*notify)->sweep.nodes);
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
		notify->held_names -= held->names.length;
		while ((note = g_queue_pop_head(&held->names)))
			g_queue_push_tail(&notify->queue, note);
		if (held->sweep)
			sweep_locked(notify, held->of, SWEEP_NAMES);
		g_hash_table_remove(notify->held, &directory);
		pthread_cond_signal(&notify->wake);
	}
	pthread_mutex_unlock(&notify->mutex);
}

/* False: there is no room. For the root, which no sweep finds, and those who poll there always is:
 * they are few. */
static bool push_locked(struct notify *notify, const struct note *note)
{
	struct note *copy;

	if (notify->queue.length >= NOTIFY_MAX && !note->poll &&
	    (note->name || note->node != FUSE_ROOT_ID))
		return false;
	copy = g_memdup2(note, sizeof(*note));
	if (!copy->name && !copy->poll)
		g_hash_table_add(notify->attrs, &copy->node);
	g_queue_push_tail(&notify->queue, copy);
	pthread_cond_signal(&notify->wake);
	return true;
}

void notify_attr(struct notify *notify, uint64_t node)
{
	pthread_mutex_lock(&notify->mutex);
	if (notify->state == NOTIFY_RUNNING && !g_hash_table_contains(notify->attrs, &node) &&
	    !push_locked(notify, &(struct note){.node = node}))
		sweep_locked(notify, node, SWEEP_ATTRS);
	pthread_mutex_unlock(&notify->mutex);
}

void notify_name(struct notify *notify, uint64_t parent, char *name, uint64_t node)
{
	bool running, pushed;

	pthread_mutex_lock(&notify->mutex);
	running = notify->state == NOTIFY_RUNNING;
	pushed = running &&
		 push_locked(notify, &(struct note){.node = parent, .name = name, .of = node});
	if (running && !pushed)
		sweep_locked(notify, node, SWEEP_NAMES);
	pthread_mutex_unlock(&notify->mutex);
	if (!pushed)
		g_free(name);
}

void notify_siblings(struct notify *notify, uint64_t node)
{
	pthread_mutex_lock(&notify->mutex);
	if (notify->state == NOTIFY_RUNNING)
		sweep_locked(notify, node, SWEEP_ATTRS);
	pthread_mutex_unlock(&notify->mutex);
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
