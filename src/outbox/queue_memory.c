#include "outbox/queue_private.h"

#include "base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define NS_PER_MS 1000000

struct leaver {
	int64_t until_ms; /* monotonic */
	char name[];
};

/* --- small --- */

int64_t queue_now_ms(void)
{
	return clock_wall_ns() / NS_PER_MS;
}

bool queue_name_is_mail(const char *name)
{
	return name[0] != '.' && g_str_has_suffix(name, ".eml");
}

bool queue_name_is_sound(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= QUEUE_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

enum queue_step queue_step_of(enum queue_dir dir)
{
	static const enum queue_step steps[] = {
		[QUEUE_DIR_DRAFT] = QUEUE_DRAFT,     [QUEUE_DIR_WHOLE] = QUEUE_DRAFT,
		[QUEUE_DIR_WAITING] = QUEUE_WAITING, [QUEUE_DIR_SENDING] = QUEUE_SENDING,
		[QUEUE_DIR_SENT] = QUEUE_SENT,	     [QUEUE_DIR_FAILED] = QUEUE_FAILED,
	};

	return steps[dir];
}

static enum queue_space space_of(enum queue_step step)
{
	if (step == QUEUE_SENT)
		return QUEUE_SPACE_SENT;
	return step == QUEUE_FAILED ? QUEUE_SPACE_FAILED : QUEUE_SPACE_OUTBOX;
}

bool queue_entry_is_mail(const struct queue_entry *entry)
{
	return queue_name_is_mail(entry->file.name);
}

/* --- copies --- */

void queue_file_clear(struct queue_file *file)
{
	g_clear_pointer(&file->name, g_free);
	queue_info_clear(&file->info);
}

void queue_file_free(void *file)
{
	queue_file_clear(file);
	g_free(file);
}

void queue_file_copy(const struct queue_file *file, struct queue_file *ret)
{
	struct queue_file copy = *file;

	copy.name = g_strdup(file->name);
	queue_info_copy(&file->info, &copy.info);
	*ret = copy;
}

/* --- life --- */

static void entry_destroy(gpointer data)
{
	struct queue_entry *entry = data;

	queue_file_clear(&entry->file);
	g_free(entry);
}

static gint by_id(gconstpointer a, gconstpointer b, gpointer data)
{
	guint one = GPOINTER_TO_UINT(a), other = GPOINTER_TO_UINT(b);

	return one < other ? -1 : one > other;
}

void queue_memory_init(struct queue *queue)
{
	queue->entries = g_hash_table_new_full(NULL, NULL, NULL, entry_destroy);
	for (int step = 0; step < QUEUE_STEPS; step++)
		queue->steps[step] = g_tree_new_full(by_id, NULL, NULL, NULL);
	for (int space = 0; space < QUEUE_SPACES; space++)
		queue->names[space] = g_hash_table_new(g_str_hash, g_str_equal);
	g_queue_init(&queue->leavers);
	queue->left = g_hash_table_new(g_str_hash, g_str_equal);
	queue->touched_ns[0] = queue->touched_ns[1] = clock_wall_ns();
	pthread_mutex_init(&queue->lock, NULL);
}

void queue_memory_clear(struct queue *queue)
{
	for (int space = 0; space < QUEUE_SPACES; space++)
		g_hash_table_unref(queue->names[space]);
	for (int step = 0; step < QUEUE_STEPS; step++)
		g_tree_unref(queue->steps[step]);
	g_hash_table_unref(queue->left);
	g_queue_clear_full(&queue->leavers, g_free);
	g_hash_table_unref(queue->entries);
	pthread_mutex_destroy(&queue->lock);
}

/* --- where an entry stands --- */

static void touched(struct queue *queue, enum queue_step step)
{
	if (step == QUEUE_SENT)
		return;
	int64_t *last = &queue->touched_ns[step == QUEUE_FAILED];

	*last = MAX(clock_wall_ns(), *last + 1);
}

static void entry_link(struct queue *queue, struct queue_entry *entry)
{
	struct queue_file *file = &entry->file;
	enum queue_space space = space_of(file->step);

	g_tree_insert(queue->steps[file->step], GUINT_TO_POINTER(file->id), entry);
	g_hash_table_replace(queue->names[space], file->name, entry);
	if (space == QUEUE_SPACE_OUTBOX)
		g_hash_table_remove(queue->names[QUEUE_SPACE_SENT], file->name);
	touched(queue, file->step);
}

static void entry_unlink(struct queue *queue, struct queue_entry *entry)
{
	struct queue_file *file = &entry->file;
	GHashTable *names = queue->names[space_of(file->step)];

	g_tree_remove(queue->steps[file->step], GUINT_TO_POINTER(file->id));
	if (g_hash_table_lookup(names, file->name) == entry)
		g_hash_table_remove(names, file->name);
	touched(queue, file->step);
}

static unsigned wants_copy(const struct queue_entry *entry)
{
	return entry->file.info.copy == QUEUE_COPY_WANTED;
}

void queue_entry_set_info(struct queue *queue, struct queue_entry *entry,
			  const struct queue_info *info)
{
	struct queue_info old = entry->file.info;

	queue->copies -= wants_copy(entry);
	queue_info_copy(info, &entry->file.info);
	queue->copies += wants_copy(entry);
	queue_info_clear(&old);
}

struct queue_entry *queue_entry_add(struct queue *queue, enum queue_dir dir,
				    const struct queue_file *file)
{
	struct queue_entry *entry = g_new0(struct queue_entry, 1);

	entry->file = *file;
	entry->file.serial = ++queue->last_serial;
	entry->file.step = queue_step_of(dir);
	entry->dir = dir;
	if (!entry->file.info.recipients)
		queue_info_copy(&file->info, &entry->file.info);
	queue->copies += wants_copy(entry);
	g_hash_table_insert(queue->entries, GUINT_TO_POINTER(file->id), entry);
	entry_link(queue, entry);
	return entry;
}

void queue_entry_become(struct queue *queue, struct queue_entry *entry, enum queue_dir dir,
			const char *name, const struct queue_info *info)
{
	enum queue_step step = queue_step_of(dir);
	char *old = entry->file.name;
	bool moved = entry->file.step != step || strcmp(old, name) != 0;

	if (moved)
		entry_unlink(queue, entry);
	entry->dir = dir;
	entry->whole |= dir != QUEUE_DIR_DRAFT;
	entry->file.running = false;
	entry->unended = false;
	entry->file.step = step;
	queue_entry_set_info(queue, entry, info);
	if (moved) {
		entry->file.name = g_strdup(name);
		entry_link(queue, entry);
		g_free(old);
	}
}

void queue_entry_free(struct queue *queue, struct queue_entry *entry)
{
	queue->copies -= wants_copy(entry);
	entry_unlink(queue, entry);
	g_hash_table_remove(queue->entries, GUINT_TO_POINTER(entry->file.id));
}

void queue_entry_renumber(struct queue *queue, struct queue_entry *entry, uint32_t id)
{
	entry_unlink(queue, entry);
	g_hash_table_steal(queue->entries, GUINT_TO_POINTER(entry->file.id));
	entry->file.id = id;
	g_hash_table_insert(queue->entries, GUINT_TO_POINTER(id), entry);
	entry_link(queue, entry);
}

struct queue_entry *queue_entry_find(struct queue *queue, uint32_t id)
{
	return g_hash_table_lookup(queue->entries, GUINT_TO_POINTER(id));
}

struct queue_entry *queue_entry_named(struct queue *queue, enum queue_space space, const char *name)
{
	return g_hash_table_lookup(queue->names[space], name);
}

void queue_entry_measure(struct queue *queue, struct queue_entry *entry)
{
	char path[QUEUE_PATH_MAX];
	struct stat stat;

	queue_path(entry->file.id, entry->file.name, path);
	if (fstatat(queue->dirs[entry->dir], path, &stat, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	entry->file.size = (uint64_t)stat.st_size;
	entry->file.mtime_ns = stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec;
}

/* --- names --- */

/* At a character, should it be UTF-8. */
static size_t cut(const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
		;
	return len > 0 ? len : max;
}

char *queue_name_free(struct queue *queue, enum queue_space space, const char *name)
{
	g_autofree char *base = g_strdup(name);
	const char *suffix = queue_name_is_mail(name) ? ".eml" : "";

	base[strlen(base) - strlen(suffix)] = '\0';
	for (unsigned n = 2; queue_entry_named(queue, space, name); n++) {
		g_autofree char *tail = g_strdup_printf("~%u%s", n, suffix);
		int len = (int)cut(base, QUEUE_NAME_MAX - strlen(tail));
		g_autofree char *other = g_strdup_printf("%.*s%s", len, base, tail);

		if (!queue_entry_named(queue, space, other))
			return g_steal_pointer(&other);
	}
	return g_strdup(name);
}

static void forget_leavers(struct queue *queue, int64_t now_ms)
{
	struct leaver *leaver;

	while ((leaver = g_queue_peek_head(&queue->leavers)) && leaver->until_ms <= now_ms) {
		if (g_hash_table_lookup(queue->left, leaver->name) == leaver)
			g_hash_table_remove(queue->left, leaver->name);
		g_free(g_queue_pop_head(&queue->leavers));
	}
}

void queue_note_leaver(struct queue *queue, const char *name)
{
	size_t size = strlen(name) + 1;
	struct leaver *leaver = g_malloc(sizeof(*leaver) + size);

	leaver->until_ms = clock_mono_ms() + QUEUE_FAILED_WAS_MS;
	memcpy(leaver->name, name, size);
	forget_leavers(queue, clock_mono_ms());
	g_queue_push_tail(&queue->leavers, leaver);
	g_hash_table_replace(queue->left, leaver->name, leaver);
}

bool queue_failed_was(struct queue *queue, const char *name)
{
	pthread_mutex_lock(&queue->lock);
	forget_leavers(queue, clock_mono_ms());
	bool was = g_hash_table_contains(queue->left, name);

	pthread_mutex_unlock(&queue->lock);
	return was;
}
