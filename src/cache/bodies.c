#include "cache/bodies.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/number.h"
#include "cache/bodies_private.h"
#include "cache/held.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

enum {
	USE_GRAIN_S = 60, /* younger uses are not told apart: saves a write at each open */
	FREE_PART = 10,	  /* an eviction makes room of a tenth */
};

/* A file met by a scan, or a pack. */
struct entry {
	uint32_t epoch;
	uint32_t uid;
	uint32_t pack; /* not 0: a pack, and none of those around this */
	ino_t inode;
	uint64_t size;
	int64_t used_ns;
};

typedef void (*entry_fn)(struct bodies *bodies, const char *path, bool is_part,
			 const struct entry *entry, void *data);

char *bodies_epoch_path(const struct bodies *bodies, uint32_t epoch)
{
	return g_strdup_printf("%s/%" PRIx32, bodies->dir, epoch);
}

char *bodies_path(const struct bodies *bodies, uint32_t epoch, uint32_t uid, const char *suffix)
{
	return g_strdup_printf("%s/%" PRIx32 "/%" PRIu32 "%s", bodies->dir, epoch, uid, suffix);
}

void bodies_total_take_locked(struct bodies *bodies, uint64_t size)
{
	bodies->total -= MIN(size, bodies->total);
}

void bodies_file_add_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	gint64 key = bodies_key(epoch, uid);

	g_hash_table_add(bodies->files, g_memdup2(&key, sizeof(key)));
}

static bool has_file_locked(const struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	gint64 key = bodies_key(epoch, uid);

	return g_hash_table_contains(bodies->files, &key);
}

static bool has_file(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	bool has = has_file_locked(bodies, epoch, uid);

	pthread_mutex_unlock(&bodies->lock);
	return has;
}

static void file_unlink_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t size)
{
	g_autofree char *path = bodies_path(bodies, epoch, uid, "");
	gint64 key = bodies_key(epoch, uid);

	held_going(bodies->held, epoch, uid);
	if (unlink(path) == 0)
		bodies_total_take_locked(bodies, size);
	else if (errno != ENOENT)
		return;
	g_hash_table_remove(bodies->files, &key);
}

void bodies_unlink_file_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = NULL;
	struct stat stat;

	if (!has_file_locked(bodies, epoch, uid))
		return;
	path = bodies_path(bodies, epoch, uid, "");
	if (lstat(path, &stat) == 0)
		file_unlink_locked(bodies, epoch, uid, (uint64_t)stat.st_size);
}

/* --- scans --- */

static int64_t ns_from(const struct timespec *time)
{
	return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void scan_file(struct bodies *bodies, int dir_fd, const char *dir_path, uint32_t epoch,
		      const char *name, entry_fn each, void *data)
{
	bool is_part = g_str_has_suffix(name, BODIES_PART);
	size_t digits = strlen(name) - (is_part ? strlen(BODIES_PART) : 0);
	struct entry entry = {.epoch = epoch};
	struct stat stat;

	if (!number_parse_u32(name, digits, &entry.uid) ||
	    fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(stat.st_mode))
		return;
	g_autofree char *path = g_build_filename(dir_path, name, NULL);

	entry.inode = stat.st_ino;
	entry.size = (uint64_t)stat.st_size;
	entry.used_ns = ns_from(&stat.st_atim);
	each(bodies, path, is_part, &entry, data);
}

static void scan_epoch(struct bodies *bodies, uint32_t epoch, entry_fn each, void *data)
{
	g_autofree char *path = bodies_epoch_path(bodies, epoch);
	DIR *dir = opendir(path);
	struct dirent *file;

	if (!dir)
		return;
	while ((file = readdir(dir)))
		scan_file(bodies, dirfd(dir), path, epoch, file->d_name, each, data);
	closedir(dir);
}

static void scan(struct bodies *bodies, entry_fn each, void *data)
{
	DIR *dir = opendir(bodies->dir);
	struct dirent *file;
	uint32_t epoch;

	if (!dir)
		return;
	while ((file = readdir(dir))) {
		if (number_parse_hex_u32(file->d_name, strlen(file->d_name), &epoch))
			scan_epoch(bodies, epoch, each, data);
	}
	closedir(dir);
}

/* --- life --- */

/* No lock: held_going() is called with ours. */
static int file_open(const struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = bodies_path(bodies, epoch, uid, "");

	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static bool file_open_held(void *data, uint32_t epoch, uint32_t uid, uint64_t size,
			   struct file_span *ret)
{
	const struct bodies *bodies = data;
	struct stat stat;
	int fd;

	if (packs_get(bodies->packs, epoch, uid, size, ret) == PACKS_FOUND)
		return true;
	fd = file_open(bodies, epoch, uid);
	if (fd < 0)
		return false;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (uint64_t)stat.st_size == size) {
		*ret = (struct file_span){.fd = fd, .size = size};
		return true;
	}
	close(fd);
	return false;
}

static void entry_take_in(struct bodies *bodies, const char *path, bool is_part,
			  const struct entry *entry, void *data)
{
	if (is_part) {
		unlink(path);
		return;
	}
	bodies->total += entry->size;
	bodies_file_add_locked(bodies, entry->epoch, entry->uid);
}

struct bodies *bodies_open(const char *dir, uint64_t max_bytes, GError **error)
{
	struct bodies *bodies = g_new0(struct bodies, 1);

	bodies->dir = g_build_filename(dir, "bodies", NULL);
	bodies->max_bytes = max_bytes;
	bodies->opened_s = (time_t)(clock_wall_ns() / NS_PER_S);
	bodies->parts = bodies_parts_new();
	bodies->files = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	bodies->held = held_new(file_open_held, bodies);
	pthread_mutex_init(&bodies->lock, NULL);
	bodies->packs = packs_open(dir, max_bytes, error);
	if (bodies->packs && file_make_private_dir(bodies->dir, error))
		scan(bodies, entry_take_in, NULL);
	else
		bodies_close(&bodies);
	return bodies;
}

void bodies_close(struct bodies **bodies)
{
	struct bodies *old = g_steal_pointer(bodies);

	if (!old)
		return;
	g_hash_table_destroy(old->parts);
	g_hash_table_destroy(old->files);
	held_free(&old->held);
	packs_close(&old->packs);
	pthread_mutex_destroy(&old->lock);
	g_free(old->dir);
	g_free(old);
}

uint64_t bodies_total(struct bodies *bodies)
{
	pthread_mutex_lock(&bodies->lock);
	uint64_t total = bodies->total;

	pthread_mutex_unlock(&bodies->lock);
	return total + packs_total(bodies->packs);
}

/* --- readers --- */

/* By the time the lock is held the engine may have put a good file there. */
static void file_unlink_if_same(struct bodies *bodies, uint32_t epoch, uint32_t uid,
				const struct stat *old)
{
	g_autofree char *path = bodies_path(bodies, epoch, uid, "");
	struct stat now;

	pthread_mutex_lock(&bodies->lock);
	if (lstat(path, &now) == 0 && now.st_ino == old->st_ino && now.st_dev == old->st_dev)
		file_unlink_locked(bodies, epoch, uid, (uint64_t)now.st_size);
	pthread_mutex_unlock(&bodies->lock);
}

struct timespec bodies_use_now(void)
{
	int64_t now_ns = clock_wall_ns();

	return (struct timespec){.tv_sec = now_ns / NS_PER_S, .tv_nsec = now_ns % NS_PER_S};
}

static void file_note_use(int fd, const struct stat *stat)
{
	const struct timespec times[] = {bodies_use_now(), {.tv_nsec = UTIME_OMIT}};

	if (clock_wall_ns() - ns_from(&stat->st_atim) > USE_GRAIN_S * NS_PER_S)
		futimens(fd, times);
}

/* A power failure can leave the name without the bytes, and the index without the size. */
static bool file_is_whole(const struct bodies *bodies, const struct stat *stat, uint64_t expected)
{
	if (expected == UINT64_MAX)
		return stat->st_mtim.tv_sec == bodies->opened_s;
	return (uint64_t)stat->st_size == expected;
}

static bool file_get(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t expected,
		     struct file_span *ret)
{
	int fd = has_file(bodies, epoch, uid) ? file_open(bodies, epoch, uid) : -1;
	struct stat stat;

	if (fd < 0)
		return false;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
		if (file_is_whole(bodies, &stat, expected)) {
			file_note_use(fd, &stat);
			*ret = (struct file_span){.fd = fd, .size = (uint64_t)stat.st_size};
			return true;
		}
		if (expected != UINT64_MAX)
			file_unlink_if_same(bodies, epoch, uid, &stat);
	}
	close(fd);
	return false;
}

/* Unless it is of this size by now. */
static void packed_drop(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t unless)
{
	pthread_mutex_lock(&bodies->lock);
	held_going(bodies->held, epoch, uid);
	packs_drop(bodies->packs, epoch, uid, unless);
	pthread_mutex_unlock(&bodies->lock);
}

bool bodies_get(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t expected,
		struct file_span *ret)
{
	uint64_t removals = held_removals(bodies->held);
	enum packs_found packed = packs_get(bodies->packs, epoch, uid, expected, ret);

	if (packed == PACKS_OTHER_SIZE)
		packed_drop(bodies, epoch, uid, expected);
	if (packed != PACKS_FOUND && !file_get(bodies, epoch, uid, expected, ret))
		return false;
	held_note(bodies->held, epoch, uid, ret->size, removals);
	return true;
}

struct held *bodies_held(struct bodies *bodies)
{
	return bodies->held;
}

bool bodies_has(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = NULL;

	if (packs_has(bodies->packs, epoch, uid))
		return true;
	if (!has_file(bodies, epoch, uid))
		return false;
	path = bodies_path(bodies, epoch, uid, "");
	return access(path, F_OK) == 0;
}

/* --- links --- */

bool bodies_make_epoch(struct bodies *bodies, uint32_t epoch, GError **error)
{
	g_autofree char *dir = bodies_epoch_path(bodies, epoch);

	return file_make_private_dir(dir, error);
}

/* False: it is in no pack. */
static bool packed_copy(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
			uint32_t to_uid)
{
	g_autoptr(GError) error = NULL;

	if (!packs_has(bodies->packs, epoch, uid))
		return false;
	if (!packs_copy(bodies->packs, epoch, uid, to_epoch, to_uid, &error))
		log_debug("a message is not copied: %s", error->message);
	return true;
}

void bodies_link(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
		 uint32_t to_uid)
{
	g_autofree char *from = bodies_path(bodies, epoch, uid, "");
	g_autofree char *to = bodies_path(bodies, to_epoch, to_uid, "");
	struct stat stat;

	if (!bodies_has(bodies, epoch, uid) || bodies_has(bodies, to_epoch, to_uid) ||
	    packed_copy(bodies, epoch, uid, to_epoch, to_uid) ||
	    !bodies_make_epoch(bodies, to_epoch, NULL))
		return;
	pthread_mutex_lock(&bodies->lock);
	if (lstat(from, &stat) == 0 && S_ISREG(stat.st_mode) && link(from, to) == 0) {
		bodies->total += (uint64_t)stat.st_size;
		bodies_file_add_locked(bodies, to_epoch, to_uid);
	}
	pthread_mutex_unlock(&bodies->lock);
}

/* --- removal --- */

static void body_drop(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	bodies_part_discard(bodies, epoch, uid);
	if (packs_has(bodies->packs, epoch, uid))
		packed_drop(bodies, epoch, uid, UINT64_MAX);
	pthread_mutex_lock(&bodies->lock);
	bodies_unlink_file_locked(bodies, epoch, uid);
	pthread_mutex_unlock(&bodies->lock);
}

void bodies_drop(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	body_drop(bodies, epoch, uid);
	packs_tidy(bodies->packs);
}

static void packed_drop_all(struct bodies *bodies, uint32_t epoch, uint32_t pack)
{
	g_autoptr(GArray) names = packs_names(bodies->packs, epoch, pack);

	pthread_mutex_lock(&bodies->lock);
	for (guint i = 0; i < names->len; i++) {
		const struct packs_name *name = &g_array_index(names, struct packs_name, i);

		held_going(bodies->held, name->epoch, name->uid);
	}
	packs_drop_all(bodies->packs, epoch, pack);
	pthread_mutex_unlock(&bodies->lock);
}

static void entry_drop(struct bodies *bodies, const char *path, bool is_part,
		       const struct entry *entry, void *data)
{
	body_drop(bodies, entry->epoch, entry->uid);
	/* if somebody else has put it there */
	pthread_mutex_lock(&bodies->lock);
	unlink(path);
	pthread_mutex_unlock(&bodies->lock);
}

void bodies_drop_epoch(struct bodies *bodies, uint32_t epoch)
{
	g_autofree char *path = bodies_epoch_path(bodies, epoch);

	scan_epoch(bodies, epoch, entry_drop, NULL);
	packed_drop_all(bodies, epoch, 0);
	packs_tidy(bodies->packs);
	/* those whose files somebody else has removed */
	bodies_parts_drop(bodies, epoch);
	rmdir(path);
}

static void entry_collect(struct bodies *bodies, const char *path, bool is_part,
			  const struct entry *entry, void *data)
{
	GArray *entries = data;

	if (!is_part)
		g_array_append_vals(entries, entry, 1);
}

static int entry_by_use(const void *left, const void *right)
{
	const struct entry *a = left;
	const struct entry *b = right;

	if (a->used_ns != b->used_ns)
		return a->used_ns < b->used_ns ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

static void collect_packs(struct bodies *bodies, GArray *entries)
{
	g_autoptr(GArray) uses = packs_uses(bodies->packs);

	for (guint i = 0; i < uses->len; i++) {
		const struct packs_use *use = &g_array_index(uses, struct packs_use, i);
		const struct entry entry = {
			.pack = use->number, .size = use->size, .used_ns = use->used_ns};

		g_array_append_val(entries, entry);
	}
}

static void entry_evict(struct bodies *bodies, const struct entry *entry)
{
	if (entry->pack) {
		packed_drop_all(bodies, 0, entry->pack);
		return;
	}
	pthread_mutex_lock(&bodies->lock);
	file_unlink_locked(bodies, entry->epoch, entry->uid, entry->size);
	pthread_mutex_unlock(&bodies->lock);
}

void bodies_evict(struct bodies *bodies)
{
	uint64_t goal = bodies->max_bytes - bodies->max_bytes / FREE_PART;

	if (bodies_total(bodies) <= bodies->max_bytes)
		return;
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct entry));

	scan(bodies, entry_collect, entries);
	collect_packs(bodies, entries);
	g_array_sort(entries, entry_by_use);
	for (guint i = 0; i + 1 < entries->len && bodies_total(bodies) > goal; i++) {
		const struct entry *entry = &g_array_index(entries, struct entry, i);

		/* the file used last, by its other name */
		if (!entry->pack &&
		    entry->inode == g_array_index(entries, struct entry, entries->len - 1).inode)
			continue;
		entry_evict(bodies, entry);
	}
	packs_tidy(bodies->packs);
}
