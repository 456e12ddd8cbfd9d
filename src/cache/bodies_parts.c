/* Messages on their way: what bodies.h calls parts. */
#include "cache/bodies_private.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "cache/held.h"
#include "cache/packs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What nobody may read yet, and is not larger than a pack takes, is gathered in memory. */
struct part {
	gint64 key; /* the table's key: epoch and UID */
	/* the engine thread's own */
	int fd;		    /* -1: in memory */
	GByteArray *bytes;  /* NULL: in the file */
	uint64_t *gathered; /* by all parts together */
	uint64_t written;
	uint64_t received; /* may be read; under the lock */
	bool coming;	   /* likewise */
};

static void part_forget_bytes(struct part *part)
{
	if (!part->bytes)
		return;
	*part->gathered -= part->bytes->len;
	g_byte_array_unref(g_steal_pointer(&part->bytes));
}

static void part_free(void *data)
{
	struct part *part = data;

	if (part->fd >= 0)
		close(part->fd);
	part_forget_bytes(part);
	g_free(part);
}

static struct part *part_find_locked(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	gint64 key = bodies_key(epoch, uid);

	return g_hash_table_lookup(bodies->parts, &key);
}

static struct part *part_find(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	pthread_mutex_unlock(&bodies->lock);
	return part;
}

GHashTable *bodies_parts_new(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, part_free);
}

static gboolean part_is_of_epoch(void *key, void *value, void *data)
{
	const uint32_t *epoch = data;

	return *(const gint64 *)key >> 32 == *epoch;
}

void bodies_parts_drop(struct bodies *bodies, uint32_t epoch)
{
	pthread_mutex_lock(&bodies->lock);
	g_hash_table_foreach_remove(bodies->parts, part_is_of_epoch, &epoch);
	pthread_mutex_unlock(&bodies->lock);
}

/* --- readers --- */

int bodies_get_part(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received)
{
	g_autofree char *path = NULL;
	int fd = -1;

	pthread_mutex_lock(&bodies->lock);
	const struct part *part = part_find_locked(bodies, epoch, uid);

	if (part && part->received > 0) {
		path = bodies_path(bodies, epoch, uid, BODIES_PART);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
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

/* --- the engine thread --- */

/* Makes the directory where it is missing: of a new epoch, or deleted under us. */
static int part_create(struct bodies *bodies, uint32_t epoch, const char *path, GError **error)
{
	const int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags, 0600);

	if (fd < 0 && errno == ENOENT) {
		if (!bodies_make_epoch(bodies, epoch, error))
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

void bodies_part_begin(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t *ret_received)
{
	if (part_go_on(bodies, epoch, uid, ret_received))
		return;
	struct part *part = g_new0(struct part, 1);

	part->key = bodies_key(epoch, uid);
	part->fd = -1;
	part->bytes = g_byte_array_new();
	part->gathered = &bodies->gathered;
	part->coming = true;
	pthread_mutex_lock(&bodies->lock);
	g_hash_table_insert(bodies->parts, &part->key, part);
	pthread_mutex_unlock(&bodies->lock);
	*ret_received = 0;
}

/* Its bytes go to a file. */
static bool part_spill(struct bodies *bodies, struct part *part, GError **error)
{
	uint32_t epoch = (uint32_t)(part->key >> 32);
	g_autofree char *path = NULL;
	int fd;

	if (!part->bytes)
		return true;
	path = bodies_path(bodies, epoch, (uint32_t)part->key, BODIES_PART);
	fd = part_create(bodies, epoch, path, error);
	if (fd < 0)
		return false;
	if (!file_pwrite_all(fd, part->bytes->data, part->bytes->len, 0)) {
		file_fail("write", path, error);
		unlink(path);
		close(fd);
		return false;
	}
	part->fd = fd;
	part_forget_bytes(part);
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

static bool part_gathers(const struct bodies *bodies, const struct part *part, uint64_t end)
{
	uint64_t more = end - MIN(end, part->written);

	return part->bytes && end <= PACKS_MESSAGE_MAX && bodies->gathered + more <= LIMIT_GATHERED;
}

static void part_gather(struct part *part, uint64_t offset, const void *bytes, gsize len)
{
	guint end = (guint)(offset + len);

	if (end > part->bytes->len) {
		*part->gathered += end - part->bytes->len;
		g_byte_array_set_size(part->bytes, end);
	}
	if (len > 0)
		memcpy(part->bytes->data + offset, bytes, len);
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
	if (part_gathers(bodies, part, offset + len)) {
		part_gather(part, offset, bytes, len);
	} else if (!part_spill(bodies, part, error)) {
		return false;
	} else if (!file_pwrite_all(part->fd, bytes, len, (off_t)offset)) {
		g_autofree char *path = bodies_path(bodies, epoch, uid, BODIES_PART);

		return file_fail("write", path, error);
	}
	part->written = MAX(part->written, offset + len);
	return true;
}

void bodies_part_publish(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t received)
{
	struct part *part = part_find(bodies, epoch, uid);
	g_autoptr(GError) error = NULL;

	if (!part || MIN(received, part->written) == 0)
		return;
	if (!part_spill(bodies, part, &error)) {
		log_error("%s", error->message);
		return;
	}
	pthread_mutex_lock(&bodies->lock);
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
		bodies_total_take_locked(bodies, (uint64_t)old.st_size);
	return true;
}

static bool commit_to_pack(struct bodies *bodies, uint32_t epoch, uint32_t uid,
			   const struct part *part, uint32_t size, GError **error)
{
	uint64_t removals = held_removals(bodies->held);

	if (!packs_put(bodies->packs, epoch, uid, part->bytes->data, size, error))
		return false;
	held_note(bodies->held, epoch, uid, size, removals);
	pthread_mutex_lock(&bodies->lock);
	bodies_unlink_file_locked(bodies, epoch, uid);
	g_hash_table_remove(bodies->parts, &part->key);
	pthread_mutex_unlock(&bodies->lock);
	return true;
}

static bool commit_to_file(struct bodies *bodies, uint32_t epoch, uint32_t uid,
			   const struct part *part, uint64_t size, GError **error)
{
	const struct timespec times[] = {bodies_use_now(), {.tv_sec = bodies->opened_s}};
	g_autofree char *from = bodies_path(bodies, epoch, uid, BODIES_PART);
	g_autofree char *to = bodies_path(bodies, epoch, uid, "");

	if ((size < part->written && ftruncate(part->fd, (off_t)size) < 0) ||
	    futimens(part->fd, times) < 0)
		return file_fail("complete", from, error);
	pthread_mutex_lock(&bodies->lock);
	bool renamed = part_rename_locked(bodies, from, to);
	int number = errno;

	if (renamed) {
		bodies->total += size;
		bodies_file_add_locked(bodies, epoch, uid);
		packs_drop(bodies->packs, epoch, uid, UINT64_MAX);
		g_hash_table_remove(bodies->parts, &part->key);
	}
	pthread_mutex_unlock(&bodies->lock);
	errno = number;
	return renamed || file_fail("complete", from, error);
}

bool bodies_part_commit(struct bodies *bodies, uint32_t epoch, uint32_t uid, uint64_t size,
			GError **error)
{
	const struct part *part = part_expect(bodies, epoch, uid, error);

	if (!part)
		return false;
	if (size > part->written || size < bodies_received(bodies, epoch, uid)) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO,
			    "message %" PRIx32 "/%" PRIu32 " cannot be complete with %" PRIu64
			    " bytes",
			    epoch, uid, size);
		return false;
	}
	return part->bytes ? commit_to_pack(bodies, epoch, uid, part, (uint32_t)size, error)
			   : commit_to_file(bodies, epoch, uid, part, size, error);
}

void bodies_part_discard(struct bodies *bodies, uint32_t epoch, uint32_t uid)
{
	g_autofree char *path = NULL;

	pthread_mutex_lock(&bodies->lock);
	struct part *part = part_find_locked(bodies, epoch, uid);

	if (part) {
		if (part->fd >= 0) {
			path = bodies_path(bodies, epoch, uid, BODIES_PART);
			unlink(path);
		}
		g_hash_table_remove(bodies->parts, &part->key);
	}
	pthread_mutex_unlock(&bodies->lock);
}
