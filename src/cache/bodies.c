#include "cache/bodies.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/number.h"
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

#define PART_SUFFIX ".part"
#define NS_PER_S INT64_C(1000000000)

enum {
	USE_GRAIN_S = 60, /* younger uses are not told apart: saves a write at each open */
	FREE_PART = 10,	  /* an eviction makes room of a tenth */
};

struct part {
	gint64 key; /* the table's key: epoch and UID */
	int fd;
	uint64_t written;  /* the engine thread's own */
	uint64_t received; /* may be read; under the lock */
	bool coming;	   /* likewise */
};

struct bodies {
	char *dir;
	uint64_t max_bytes;
	time_t opened_s; /* the mtime of the files that were made since */
	/* over names as well as the fields: a path is removed or replaced only under it */
	pthread_mutex_t lock;
	GHashTable *parts;
	struct held *held;
	uint64_t total; /* bytes of complete files */
};

/* A file met by a scan. */
struct entry {
	uint32_t epoch;
	uint32_t uid;
	ino_t inode;
	uint64_t size;
	int64_t used_ns;
};

typedef void (*entry_fn)(struct bodies *bodies, const char *path, bool is_part,
			 const struct entry *entry, void *data);

static gint64 part_key(uint32_t epoch, uint32_t uid)
{
	return (gint64)epoch << 32 | uid;
}

static void part_free(void *data)
{
	struct part *part = data;

	close(part->fd);
	g_free(part);
}

static struct part *part_find_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	gint64 key = part_key(epoch, uid);

	return g_hash_table_lookup(bodies->parts, &key);
}

static struct part *part_find(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	pthread_mutex_unlock(&bodies->lock);
	return part;
}

static char *path_of_epoch(const struct bodies *bodies, uint32_t epoch)
{
	return g_strdup_printf("%s/%" PRIx32, bodies->dir, epoch);
}

static char *path_of(const struct bodies *bodies, uint32_t epoch, uint32_t uid, const char *suffix)
{
	return g_strdup_printf("%s/%" PRIx32 "/%" PRIu32 "%s", bodies->dir, epoch, uid, suffix);
}

static void total_take_locked(struct bodies *bodies, uint64_t size)
{
	bodies->total -= MIN(size, bodies->total);
}

static void file_unlink_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t size)
{
	g_autofree char *path = path_of(bodies, epoch, uid, "");

	held_going(bodies->held, epoch, uid);
	if (unlink(path) == 0)
		total_take_locked(bodies, size);
}

/* --- scans --- */

static int64_t ns_from(const struct timespec *time)
{
	return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void scan_file(struct bodies *bodies, int dir_fd, const char *dir_path, uint32_t epoch,
		      const char *name, entry_fn each, void *data)
{
	bool is_part = g_str_has_suffix(name, PART_SUFFIX);
	size_t digits = strlen(name) - (is_part ? strlen(PART_SUFFIX) : 0);
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
	g_autofree char *path = path_of_epoch(bodies, epoch);
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
	g_autofree char *path = path_of(bodies, epoch, uid, "");

	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static int file_open_held(void *data, uint32_t epoch, uint32_t uid, uint64_t size)
{
	int fd = file_open(data, epoch, uid);
	struct stat stat;

	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (uint64_t)stat.st_size == size)
		return fd;
	close(fd);
	return -1;
}

static void entry_take_in(struct bodies *bodies, const char *path, bool is_part,
			  const struct entry *entry, void *data)
{
	if (is_part)
		unlink(path);
	else
		bodies->total += entry->size;
}

struct bodies *bodies_open(const char *dir, uint64_t max_bytes, GError **error)
{
	struct bodies *bodies = g_new0(struct bodies, 1);

	bodies->dir = g_build_filename(dir, "bodies", NULL);
	bodies->max_bytes = max_bytes;
	bodies->opened_s = (time_t)(clock_wall_ns() / NS_PER_S);
	bodies->parts = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, part_free);
	bodies->held = held_new(file_open_held, bodies);
	pthread_mutex_init(&bodies->lock, NULL);
	if (file_make_private_dir(bodies->dir, error))
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
	held_free(&old->held);
	pthread_mutex_destroy(&old->lock);
	g_free(old->dir);
	g_free(old);
}

uint64_t bodies_total(struct bodies *bodies)
{
	pthread_mutex_lock(&bodies->lock);
	uint64_t total = bodies->total;

	pthread_mutex_unlock(&bodies->lock);
	return total;
}

/* --- readers --- */

/* By the time the lock is held the engine may have put a good file there. */
static void file_unlink_if_same(struct bodies *bodies, uint32_t epoch, uint32_t uid,
				const struct stat *old)
{
	g_autofree char *path = path_of(bodies, epoch, uid, "");
	struct stat now;

	pthread_mutex_lock(&bodies->lock);
	if (lstat(path, &now) == 0 && now.st_ino == old->st_ino && now.st_dev == old->st_dev)
		file_unlink_locked(bodies, epoch, uid, (uint64_t)now.st_size);
	pthread_mutex_unlock(&bodies->lock);
}

static void file_note_use(int fd, const struct stat *stat)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};

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

int bodies_get(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t expected,
	       uint64_t *ret_size)
{
	uint64_t removals = held_removals(bodies->held);
	int fd = file_open(bodies, epoch, uid);
	struct stat stat;

	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
		if (file_is_whole(bodies, &stat, expected)) {
			file_note_use(fd, &stat);
			*ret_size = (uint64_t)stat.st_size;
			held_note(bodies->held, epoch, uid, *ret_size, removals);
			return fd;
		}
		if (expected != UINT64_MAX)
			file_unlink_if_same(bodies, epoch, uid, &stat);
	}
	close(fd);
	return -1;
}

struct held *bodies_held(struct bodies *bodies)
{
	return bodies->held;
}

bool bodies_has(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = path_of(bodies, epoch, uid, "");

	return access(path, F_OK) == 0;
}

int bodies_get_part(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received)
{
	g_autofree char *path = path_of(bodies, epoch, uid, PART_SUFFIX);
	int fd = -1;

	pthread_mutex_lock(&bodies->lock);
	const struct part *part = part_find_locked(bodies, epoch, uid);

	if (part)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		*ret_received = part->received;
	pthread_mutex_unlock(&bodies->lock);
	return fd;
}

uint64_t bodies_received(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	const struct part *part = part_find_locked(bodies, epoch, uid);
	uint64_t received = part ? part->received : 0;

	pthread_mutex_unlock(&bodies->lock);
	return received;
}

bool bodies_is_coming(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	const struct part *part = part_find_locked(bodies, epoch, uid);
	bool coming = part && part->coming;

	pthread_mutex_unlock(&bodies->lock);
	return coming;
}

/* --- parts --- */

static bool epoch_make_dir(struct bodies *bodies, uint32_t epoch, GError **error)
{
	g_autofree char *dir = path_of_epoch(bodies, epoch);

	return file_make_private_dir(dir, error);
}

/* Makes the directory where it is missing: of a new epoch, or deleted under us. */
static int part_create(struct bodies *bodies, uint32_t epoch, const char *path, GError **error)
{
	const int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags, 0600);

	if (fd < 0 && errno == ENOENT) {
		if (!epoch_make_dir(bodies, epoch, error))
			return -1;
		fd = open(path, flags, 0600);
	}
	if (fd < 0)
		file_fail("make", path, error);
	return fd;
}

/* False if there is none. */
static bool part_go_on(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received)
{
	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	if (part) {
		part->coming = true;
		*ret_received = part->received;
	}
	pthread_mutex_unlock(&bodies->lock);
	return part != NULL;
}

bool bodies_part_begin(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received,
		       GError **error)
{
	if (part_go_on(bodies, epoch, uid, ret_received))
		return true;
	g_autofree char *path = path_of(bodies, epoch, uid, PART_SUFFIX);
	int fd = part_create(bodies, epoch, path, error);

	if (fd < 0)
		return false;
	struct part *part = g_new0(struct part, 1);

	part->key = part_key(epoch, uid);
	part->fd = fd;
	part->coming = true;
	pthread_mutex_lock(&bodies->lock);
	g_hash_table_insert(bodies->parts, &part->key, part);
	pthread_mutex_unlock(&bodies->lock);
	*ret_received = 0;
	return true;
}

static struct part *part_expect(struct bodies *bodies, uint32_t epoch, uint32_t uid, GError **error)
{
	struct part *part = part_find(bodies, epoch, uid);

	if (!part)
		g_set_error(error, MAILFS_ERROR, ERROR_IO,
			    "message %" PRIx32 "/%" PRIu32 " is not being fetched", epoch, uid);
	return part;
}

bool bodies_part_write(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t offset,
		       const void *bytes, gsize len, GError **error)
{
	struct part *part = part_expect(bodies, epoch, uid, error);

	if (!part)
		return false;
	/* what readers may have seen must not change; a hole would be read as zeros */
	if (offset < bodies_received(bodies, epoch, uid) || offset > part->written) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO,
			    "bytes at %" PRIu64 " of a message do not follow what is there",
			    offset);
		return false;
	}
	if (len > LIMIT_MESSAGE_SIZE || offset > LIMIT_MESSAGE_SIZE - len) {
		g_set_error(error, MAILFS_ERROR, ERROR_LIMIT, "a message is larger than %llu bytes",
			    LIMIT_MESSAGE_SIZE);
		return false;
	}
	if (!file_pwrite_all(part->fd, bytes, len, (off_t)offset)) {
		g_autofree char *path = path_of(bodies, epoch, uid, PART_SUFFIX);

		return file_fail("write", path, error);
	}
	part->written = MAX(part->written, offset + len);
	return true;
}

void bodies_part_publish(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t received)
{
	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	if (part)
		part->received = MAX(part->received, MIN(received, part->written));
	pthread_mutex_unlock(&bodies->lock);
}

void bodies_part_rest(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	if (part)
		part->coming = false;
	pthread_mutex_unlock(&bodies->lock);
}

static bool part_rename_locked(struct bodies *bodies, const char *from, const char *to)
{
	struct stat old;
	bool replaces = lstat(to, &old) == 0;

	if (rename(from, to) < 0)
		return false;
	if (replaces)
		total_take_locked(bodies, (uint64_t)old.st_size);
	return true;
}

bool bodies_part_commit(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t size,
			GError **error)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = bodies->opened_s}};
	struct part *part = part_expect(bodies, epoch, uid, error);

	if (!part)
		return false;
	g_autofree char *from = path_of(bodies, epoch, uid, PART_SUFFIX);
	g_autofree char *to = path_of(bodies, epoch, uid, "");

	if (size > part->written || size < bodies_received(bodies, epoch, uid)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO,
			    "%s cannot be complete with %" PRIu64 " bytes", from, size);
		return false;
	}
	if ((size < part->written && ftruncate(part->fd, (off_t)size) < 0) ||
	    futimens(part->fd, times) < 0)
		return file_fail("complete", from, error);
	pthread_mutex_lock(&bodies->lock);
	bool renamed = part_rename_locked(bodies, from, to);
	int number = errno;

	if (renamed) {
		bodies->total += size;
		g_hash_table_remove(bodies->parts, &part->key);
	}
	pthread_mutex_unlock(&bodies->lock);
	errno = number;
	return renamed || file_fail("complete", from, error);
}

void bodies_part_discard(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = path_of(bodies, epoch, uid, PART_SUFFIX);

	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	if (part) {
		unlink(path);
		g_hash_table_remove(bodies->parts, &part->key);
	}
	pthread_mutex_unlock(&bodies->lock);
}

void bodies_link(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
		 uint32_t to_uid)
{
	g_autofree char *from = path_of(bodies, epoch, uid, "");
	g_autofree char *to = path_of(bodies, to_epoch, to_uid, "");
	struct stat stat;

	if (!bodies_has(bodies, epoch, uid) || !epoch_make_dir(bodies, to_epoch, NULL))
		return;
	pthread_mutex_lock(&bodies->lock);
	if (lstat(from, &stat) == 0 && S_ISREG(stat.st_mode) && link(from, to) == 0)
		bodies->total += (uint64_t)stat.st_size;
	pthread_mutex_unlock(&bodies->lock);
}

/* --- removal --- */

void bodies_drop(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = path_of(bodies, epoch, uid, "");
	struct stat stat;

	bodies_part_discard(bodies, epoch, uid);
	pthread_mutex_lock(&bodies->lock);
	if (lstat(path, &stat) == 0)
		file_unlink_locked(bodies, epoch, uid, (uint64_t)stat.st_size);
	pthread_mutex_unlock(&bodies->lock);
}

static void entry_drop(struct bodies *bodies, const char *path, bool is_part,
		       const struct entry *entry, void *data)
{
	bodies_drop(bodies, entry->epoch, entry->uid);
}

static gboolean part_is_of_epoch(void *key, void *value, void *data)
{
	const uint32_t *epoch = data;

	return *(const gint64 *)key >> 32 == *epoch;
}

void bodies_drop_epoch(struct bodies *bodies, uint32_t epoch)
{
	g_autofree char *path = path_of_epoch(bodies, epoch);

	scan_epoch(bodies, epoch, entry_drop, NULL);
	/* those whose files somebody else has removed */
	pthread_mutex_lock(&bodies->lock);
	g_hash_table_foreach_remove(bodies->parts, part_is_of_epoch, &epoch);
	pthread_mutex_unlock(&bodies->lock);
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

void bodies_evict(struct bodies *bodies)
{
	uint64_t goal = bodies->max_bytes - bodies->max_bytes / FREE_PART;

	if (bodies_total(bodies) <= bodies->max_bytes)
		return;
	g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct entry));

	scan(bodies, entry_collect, entries);
	g_array_sort(entries, entry_by_use);
	for (guint i = 0; i + 1 < entries->len && bodies_total(bodies) > goal; i++) {
		const struct entry *entry = &g_array_index(entries, struct entry, i);

		/* the file used last, by its other name */
		if (entry->inode == g_array_index(entries, struct entry, entries->len - 1).inode)
			continue;
		pthread_mutex_lock(&bodies->lock);
		file_unlink_locked(bodies, entry->epoch, entry->uid, entry->size);
		pthread_mutex_unlock(&bodies->lock);
	}
}
