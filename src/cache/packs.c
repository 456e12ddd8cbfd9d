#include "cache/packs.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
#include "cache/pack_record.h"
#include "cache/pack_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".pack"
#define NS_PER_S INT64_C(1000000000)
#define USE_GRAIN_NS (60 * NS_PER_S) /* younger uses are not written to disk one by one */

enum {
	PACK_BYTES = 4 * 1024 * 1024,
	PACK_PART = 16,		/* and no more than that part of the cache */
	PACK_THIN = 4,		/* what is left of a thin one is less than that part of it */
	PACK_NUMBERS = 1 << 30, /* larger ones are not ours */
	MAKE_TRIES = 16,
};

struct pack {
	uint32_t number;
	unsigned entries;
	uint64_t end;
	uint64_t live; /* bytes of records with an entry */
	int64_t used_ns;
	int64_t noted_ns; /* what the disk says */
	bool thin;	  /* it waits for packs_tidy() */
};

struct packs {
	char *dir;
	uint64_t pack_max;
	pthread_mutex_t lock;
	struct pack_table *table;
	GHashTable *packs; /* number -> struct pack */
	GArray *thin;	   /* numbers */
	uint64_t total;

	/* the engine thread's own */
	uint32_t next;
	uint32_t current; /* written to, if it is still there; 0: none */
	int current_fd;	  /* -1: not open */
};

/* An entry that went. */
struct loss {
	uint32_t pack;
	uint32_t start;
	bool empty; /* nor is the pack there any more */
};

static char *path_of(const struct packs *packs, uint32_t number)
{
	return g_strdup_printf("%s/%" PRIu32 SUFFIX, packs->dir, number);
}

/* Its atime is ours to set. */
static int pack_open(const struct packs *packs, uint32_t number, int flags)
{
	g_autofree char *path = path_of(packs, number);

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0600);
}

/* --- entries --- */

static bool is_same(const struct pack_entry *a, const struct pack_entry *b)
{
	return a && a->pack == b->pack && a->start == b->start;
}

static struct pack *pack_find(const struct packs *packs, uint32_t number)
{
	return g_hash_table_lookup(packs->packs, GUINT_TO_POINTER(number));
}

static void pack_forget_locked(struct packs *packs, const struct pack *pack)
{
	packs->total -= pack->end;
	g_hash_table_remove(packs->packs, GUINT_TO_POINTER(pack->number));
}

/* Of the one that is written to it may be the beginning. */
static void note_thin_locked(struct packs *packs, struct pack *pack)
{
	if (pack->thin || pack->live >= pack->end / PACK_THIN)
		return;
	pack->thin = true;
	g_array_append_val(packs->thin, pack->number);
}

static void lose_locked(struct packs *packs, const struct pack_entry *entry, struct loss *ret)
{
	struct pack *pack = pack_find(packs, entry->pack);

	*ret = (struct loss){.pack = entry->pack, .start = entry->start};
	pack->live -= pack_record_bytes(entry->size);
	ret->empty = --pack->entries == 0;
	if (ret->empty)
		pack_forget_locked(packs, pack);
	else
		note_thin_locked(packs, pack);
}

/* True if another one went for it. */
static bool entry_set_locked(struct packs *packs, struct pack *pack, uint32_t epoch,
			     const struct pack_entry *entry, struct loss *ret)
{
	struct pack_entry old;

	pack->entries++;
	pack->live += pack_record_bytes(entry->size);
	if (!pack_table_set(packs->table, epoch, entry, &old))
		return false;
	lose_locked(packs, &old, ret);
	return true;
}

static void entry_remove_locked(struct packs *packs, uint32_t epoch, uint32_t uid, struct loss *ret)
{
	const struct pack_entry old = pack_table_remove(packs->table, epoch, uid);

	lose_locked(packs, &old, ret);
}

/* The same on disk; without the lock. */
static void loss_settle(const struct packs *packs, const struct loss *loss)
{
	g_autofree char *path = path_of(packs, loss->pack);
	int fd;

	if (loss->empty) {
		unlink(path);
		return;
	}
	fd = pack_open(packs, loss->pack, O_WRONLY);
	if (fd < 0)
		return;
	if (!pack_record_remove(fd, loss->start))
		log_debug("cannot write to '%s': %s", path, g_strerror(errno));
	close(fd);
}

/* Somebody else has removed its file. */
static void pack_lost_locked(struct packs *packs, uint32_t number)
{
	g_autoptr(GArray) names = pack_table_names(packs->table, 0, number);
	struct loss loss;

	for (guint i = 0; i < names->len; i++) {
		const struct packs_name *name = &g_array_index(names, struct packs_name, i);

		entry_remove_locked(packs, name->epoch, name->uid, &loss);
	}
	const struct pack *pack = pack_find(packs, number);

	if (pack)
		pack_forget_locked(packs, pack);
}

/* --- opening --- */

static void scan_record(struct packs *packs, struct pack *pack, const struct pack_record *record)
{
	const struct pack_entry entry = {.uid = record->uid,
					 .pack = pack->number,
					 .start = (uint32_t)(pack->end + sizeof(*record)),
					 .size = record->size & PACK_ENTRY_SIZE};
	struct loss loss;

	if (record->kind == PACK_RECORD_LIVE &&
	    entry_set_locked(packs, pack, record->epoch, &entry, &loss))
		loss_settle(packs, &loss);
}

/* Ends before the first record that is not whole. */
static void scan_records(struct packs *packs, struct pack *pack, int fd, uint64_t size)
{
	struct pack_record record;

	while (pack_record_head(fd, pack->end, MIN(size, INT32_MAX), &record)) {
		uint64_t bytes = pack_record_bytes(record.size);

		scan_record(packs, pack, &record);
		pack->end += bytes;
		packs->total += bytes;
	}
}

static struct pack *pack_new_locked(struct packs *packs, uint32_t number, int64_t used_ns)
{
	struct pack *pack = g_new0(struct pack, 1);

	pack->number = number;
	pack->used_ns = pack->noted_ns = used_ns;
	g_hash_table_insert(packs->packs, GUINT_TO_POINTER(number), pack);
	return pack;
}

static void scan_pack(struct packs *packs, uint32_t number)
{
	int fd = pack_open(packs, number, O_RDWR);
	struct stat stat;

	if (fd < 0)
		return;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
		g_autofree char *path = path_of(packs, number);
		struct pack *pack = pack_new_locked(
			packs, number, stat.st_atim.tv_sec * NS_PER_S + stat.st_atim.tv_nsec);

		scan_records(packs, pack, fd, (uint64_t)stat.st_size);
		if (pack->entries == 0) {
			pack_forget_locked(packs, pack);
			unlink(path);
		} else if (pack->end < (uint64_t)stat.st_size &&
			   ftruncate(fd, (off_t)pack->end) < 0) {
			packs->total += (uint64_t)stat.st_size - pack->end;
			pack->end = (uint64_t)stat.st_size;
		}
	}
	close(fd);
}

static int by_number(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static bool number_of(const char *name, uint32_t *ret)
{
	return g_str_has_suffix(name, SUFFIX) &&
	       number_parse_u32(name, strlen(name) - strlen(SUFFIX), ret) && *ret > 0 &&
	       *ret < PACK_NUMBERS;
}

static void scan(struct packs *packs)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	DIR *dir = opendir(packs->dir);
	struct dirent *file;
	uint32_t number;

	while (dir && (file = readdir(dir))) {
		if (number_of(file->d_name, &number))
			g_array_append_val(numbers, number);
	}
	if (dir)
		closedir(dir);
	g_array_sort(numbers, by_number);
	for (guint i = 0; i < numbers->len; i++)
		scan_pack(packs, g_array_index(numbers, uint32_t, i));
	packs->current = numbers->len ? g_array_index(numbers, uint32_t, numbers->len - 1) : 0;
	packs->next = packs->current + 1;
}

struct packs *packs_open(const char *dir, uint64_t max_bytes, GError **error)
{
	struct packs *packs = g_new0(struct packs, 1);

	packs->dir = g_build_filename(dir, "packs", NULL);
	packs->pack_max = MIN(PACK_BYTES, max_bytes / PACK_PART);
	packs->table = pack_table_new();
	packs->packs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	packs->thin = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	packs->current_fd = -1;
	pthread_mutex_init(&packs->lock, NULL);
	if (file_make_private_dir(packs->dir, error))
		scan(packs);
	else
		packs_close(&packs);
	return packs;
}

static void current_end(struct packs *packs)
{
	if (packs->current_fd >= 0)
		close(packs->current_fd);
	packs->current_fd = -1;
	packs->current = 0;
}

void packs_close(struct packs **packs)
{
	struct packs *old = g_steal_pointer(packs);

	if (!old)
		return;
	current_end(old);
	pack_table_free(&old->table);
	g_hash_table_destroy(old->packs);
	g_array_unref(old->thin);
	pthread_mutex_destroy(&old->lock);
	g_free(old->dir);
	g_free(old);
}

/* --- readers --- */

static void use_locked(struct pack *pack, int fd)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};

	pack->used_ns = clock_wall_ns();
	if (pack->used_ns - pack->noted_ns <= USE_GRAIN_NS)
		return;
	pack->noted_ns = pack->used_ns;
	futimens(fd, times);
}

/* A descriptor of what still holds the entry, or -1. */
static int entry_open_locked(struct packs *packs, const struct pack_entry *entry)
{
	int fd = pack_open(packs, entry->pack, O_RDONLY);
	struct stat stat;

	if (fd < 0 && errno == ENOENT)
		pack_lost_locked(packs, entry->pack);
	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
	    (uint64_t)stat.st_size >= (uint64_t)entry->start + entry->size) {
		use_locked(pack_find(packs, entry->pack), fd);
		return fd;
	}
	close(fd);
	return -1;
}

/* What was found wrong goes, what was found right is not looked at again; nothing, if another has
 * its place meanwhile. */
static void settle_check(struct packs *packs, uint32_t epoch, const struct pack_entry *entry,
			 bool sound)
{
	struct loss loss = {0};

	pthread_mutex_lock(&packs->lock);
	struct pack_entry *now = pack_table_find(packs->table, epoch, entry->uid);

	if (is_same(now, entry) && sound)
		now->checked = 1;
	else if (is_same(now, entry))
		entry_remove_locked(packs, epoch, entry->uid, &loss);
	pthread_mutex_unlock(&packs->lock);
	if (loss.pack)
		loss_settle(packs, &loss);
}

static struct pack_record *read_entry(int fd, uint32_t epoch, const struct pack_entry *entry)
{
	return pack_record_read(fd, entry->start, epoch, entry->uid, entry->size, entry->checked);
}

static bool check(struct packs *packs, uint32_t epoch, const struct pack_entry *entry, int fd)
{
	g_autofree struct pack_record *record = read_entry(fd, epoch, entry);

	settle_check(packs, epoch, entry, record != NULL);
	return record != NULL;
}

static enum packs_found find_locked(struct packs *packs, uint32_t epoch, uint32_t uid,
				    uint64_t expected, struct pack_entry *ret, int *ret_fd)
{
	const struct pack_entry *entry = pack_table_find(packs->table, epoch, uid);

	if (!entry || (expected == UINT64_MAX && !entry->fresh))
		return PACKS_MISSING;
	if (expected != UINT64_MAX && entry->size != expected)
		return PACKS_OTHER_SIZE;
	*ret = *entry;
	*ret_fd = entry_open_locked(packs, ret);
	return *ret_fd >= 0 ? PACKS_FOUND : PACKS_MISSING;
}

enum packs_found packs_get(struct packs *packs, uint32_t epoch, uint32_t uid, uint64_t expected,
			   struct file_span *ret)
{
	struct pack_entry entry;
	int fd;

	pthread_mutex_lock(&packs->lock);
	enum packs_found found = find_locked(packs, epoch, uid, expected, &entry, &fd);

	pthread_mutex_unlock(&packs->lock);
	if (found != PACKS_FOUND)
		return found;
	if (!entry.checked && !check(packs, epoch, &entry, fd)) {
		close(fd);
		return PACKS_MISSING;
	}
	*ret = (struct file_span){fd, entry.start, entry.size};
	return PACKS_FOUND;
}

bool packs_has(struct packs *packs, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&packs->lock);
	bool has = pack_table_find(packs->table, epoch, uid) != NULL;

	pthread_mutex_unlock(&packs->lock);
	return has;
}

uint64_t packs_total(struct packs *packs)
{
	pthread_mutex_lock(&packs->lock);
	uint64_t total = packs->total;

	pthread_mutex_unlock(&packs->lock);
	return total;
}

void packs_drop(struct packs *packs, uint32_t epoch, uint32_t uid, uint64_t unless)
{
	struct loss loss = {0};

	pthread_mutex_lock(&packs->lock);
	const struct pack_entry *entry = pack_table_find(packs->table, epoch, uid);

	if (entry && entry->size != unless)
		entry_remove_locked(packs, epoch, uid, &loss);
	pthread_mutex_unlock(&packs->lock);
	if (loss.pack)
		loss_settle(packs, &loss);
}

GArray *packs_names(struct packs *packs, uint32_t epoch, uint32_t number)
{
	pthread_mutex_lock(&packs->lock);
	GArray *names = pack_table_names(packs->table, epoch, number);

	pthread_mutex_unlock(&packs->lock);
	return names;
}

GArray *packs_uses(struct packs *packs)
{
	GArray *uses = g_array_new(FALSE, FALSE, sizeof(struct packs_use));
	const struct pack *pack;
	GHashTableIter iter;

	pthread_mutex_lock(&packs->lock);
	g_hash_table_iter_init(&iter, packs->packs);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&pack)) {
		const struct packs_use use = {pack->number, pack->end, pack->used_ns};

		g_array_append_val(uses, use);
	}
	pthread_mutex_unlock(&packs->lock);
	return uses;
}

/* --- writing --- */

/* False if the pack that is written to is full, or gone. Who has removed its file by hand is
 * noticed, too. */
static bool current_end_of(struct packs *packs, uint64_t bytes, uint64_t *ret)
{
	struct stat stat;

	if (packs->current_fd < 0 && packs->current)
		packs->current_fd = pack_open(packs, packs->current, O_RDWR);
	bool there =
		packs->current_fd >= 0 && fstat(packs->current_fd, &stat) == 0 && stat.st_nlink > 0;

	pthread_mutex_lock(&packs->lock);
	struct pack *pack = pack_find(packs, packs->current);

	if (pack && !there)
		pack_lost_locked(packs, packs->current);
	bool fits = pack && there && pack->end + bytes <= packs->pack_max;

	if (fits)
		*ret = pack->end;
	else if (pack && there)
		note_thin_locked(packs, pack);
	pthread_mutex_unlock(&packs->lock);
	return fits;
}

/* Its directory may have been removed under us. */
static bool current_make(struct packs *packs, GError **error)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL;

	current_end(packs);
	for (unsigned i = 0; i < MAKE_TRIES && packs->current_fd < 0; i++) {
		packs->current = packs->next++;
		packs->current_fd = pack_open(packs, packs->current, flags);
		if (packs->current_fd < 0 && errno == ENOENT &&
		    !file_make_private_dir(packs->dir, error))
			return false;
	}
	if (packs->current_fd < 0)
		return file_fail("make a file in", packs->dir, error);
	pthread_mutex_lock(&packs->lock);
	pack_new_locked(packs, packs->current, clock_wall_ns());
	pthread_mutex_unlock(&packs->lock);
	return true;
}

/* With `from`, only if that is still the message's. False: the pack went meanwhile. */
static bool record_enter(struct packs *packs, const struct pack_record *record,
			 struct pack_entry *entry, const struct pack_entry *from)
{
	struct loss loss = {0};

	pthread_mutex_lock(&packs->lock);
	struct pack *pack = pack_find(packs, entry->pack);

	if (pack) {
		pack->end += pack_record_bytes(entry->size);
		packs->total += pack_record_bytes(entry->size);
		use_locked(pack, packs->current_fd);
	}
	if (pack &&
	    (!from || is_same(pack_table_find(packs->table, record->epoch, record->uid), from)))
		entry_set_locked(packs, pack, record->epoch, entry, &loss);
	pthread_mutex_unlock(&packs->lock);
	if (loss.pack)
		loss_settle(packs, &loss);
	return pack != NULL;
}

/* What was half written is taken back, or written over by the next. */
static bool write_at(struct packs *packs, uint64_t end, const struct pack_record *record,
		     const void *bytes, GError **error)
{
	g_autofree char *path = NULL;
	int number;

	if (pack_record_write(packs->current_fd, end, record, bytes))
		return true;
	number = errno;
	path = path_of(packs, packs->current);
	errno = number;
	file_fail("write", path, error);
	if (ftruncate(packs->current_fd, (off_t)end) < 0)
		log_debug("cannot truncate '%s': %s", path, g_strerror(errno));
	return false;
}

static bool append(struct packs *packs, const struct pack_record *record, const void *bytes,
		   bool fresh, const struct pack_entry *from, GError **error)
{
	struct pack_entry entry = {.uid = record->uid,
				   .size = record->size & PACK_ENTRY_SIZE,
				   .fresh = fresh,
				   .checked = 1};
	uint64_t end;

	do {
		end = 0;
		if (!current_end_of(packs, pack_record_bytes(record->size), &end) &&
		    !current_make(packs, error))
			return false;
		if (!write_at(packs, end, record, bytes, error))
			return false;
		entry.pack = packs->current;
		entry.start = (uint32_t)(end + sizeof(*record));
	} while (!record_enter(packs, record, &entry, from));
	return true;
}

bool packs_put(struct packs *packs, uint32_t epoch, uint32_t uid, const void *bytes, uint32_t size,
	       GError **error)
{
	struct pack_record record;

	pack_record_init(&record, epoch, uid, bytes, size);
	return append(packs, &record, bytes, true, NULL, error);
}

/* What is there now; false: nothing. */
static bool entry_get(struct packs *packs, uint32_t epoch, uint32_t uid, struct pack_entry *ret)
{
	pthread_mutex_lock(&packs->lock);
	const struct pack_entry *entry = pack_table_find(packs->table, epoch, uid);
	bool found = entry != NULL;

	if (found)
		*ret = *entry;
	pthread_mutex_unlock(&packs->lock);
	return found;
}

bool packs_copy(struct packs *packs, uint32_t epoch, uint32_t uid, uint32_t to_epoch,
		uint32_t to_uid, GError **error)
{
	g_autofree struct pack_record *record = NULL;
	struct pack_record copy;
	struct pack_entry entry;
	int fd = -1;

	if (entry_get(packs, epoch, uid, &entry))
		fd = pack_open(packs, entry.pack, O_RDONLY);
	if (fd >= 0) {
		record = read_entry(fd, epoch, &entry);
		close(fd);
	}
	if (!record) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "it cannot be read");
		return false;
	}
	pack_record_init(&copy, to_epoch, to_uid, record + 1, record->size);
	return append(packs, &copy, record + 1, entry.fresh, NULL, error);
}

/* One that is not what was written goes. False: there is no room. */
static bool move(struct packs *packs, const struct packs_name *name, int fd)
{
	g_autofree struct pack_record *record = NULL;
	struct pack_entry entry;

	if (!entry_get(packs, name->epoch, name->uid, &entry))
		return true;
	record = read_entry(fd, name->epoch, &entry);
	if (record)
		return append(packs, record, record + 1, entry.fresh, &entry, NULL);
	settle_check(packs, name->epoch, &entry, false);
	return true;
}

static void move_all(struct packs *packs, uint32_t number)
{
	g_autoptr(GArray) names = packs_names(packs, 0, number);
	int fd = pack_open(packs, number, O_RDONLY);
	bool moved = fd >= 0;

	for (guint i = 0; i < names->len && moved; i++)
		moved = move(packs, &g_array_index(names, struct packs_name, i), fd);
	if (fd >= 0)
		close(fd);
}

/* 0: there is none. It stays noted, so that what is moved does not note it again. */
static uint32_t take_thin(struct packs *packs)
{
	uint32_t number = 0;

	pthread_mutex_lock(&packs->lock);
	while (packs->thin->len > 0 && number == 0) {
		guint last = packs->thin->len - 1;
		struct pack *pack = pack_find(packs, g_array_index(packs->thin, uint32_t, last));

		g_array_set_size(packs->thin, last);
		if (pack && pack->number != packs->current)
			number = pack->number;
		else if (pack)
			pack->thin = false;
	}
	pthread_mutex_unlock(&packs->lock);
	return number;
}

static void end_thin(struct packs *packs, uint32_t number)
{
	pthread_mutex_lock(&packs->lock);
	struct pack *pack = pack_find(packs, number);

	if (pack)
		pack->thin = false;
	pthread_mutex_unlock(&packs->lock);
}

static bool current_is_there(struct packs *packs)
{
	pthread_mutex_lock(&packs->lock);
	bool there = pack_find(packs, packs->current) != NULL;

	pthread_mutex_unlock(&packs->lock);
	return there;
}

void packs_tidy(struct packs *packs)
{
	uint32_t number;

	while ((number = take_thin(packs))) {
		move_all(packs, number);
		end_thin(packs, number);
	}
	if (!current_is_there(packs))
		current_end(packs);
}
