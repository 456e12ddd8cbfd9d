#include "cache/packs.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/packs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define USE_GRAIN_NS (60 * NS_PER_S) /* younger uses are not written to disk one by one */

enum {
	PACK_BYTES = 4 * 1024 * 1024,
	PACK_PART = 16, /* and no more than that part of the cache */
	PACK_THIN = 4,	/* what is left of a thin one is less than that part of it */
};

char *pack_path(const struct packs *packs, uint32_t number)
{
	return g_strdup_printf("%s/%" PRIu32 PACK_SUFFIX, packs->dir, number);
}

int pack_open(const struct packs *packs, uint32_t number, int flags)
{
	g_autofree char *path = pack_path(packs, number);

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0600);
}

/* --- entries --- */

bool pack_is_same(const struct pack_entry *a, const struct pack_entry *b)
{
	return a && a->pack == b->pack && a->start == b->start;
}

struct pack *pack_find(const struct packs *packs, uint32_t number)
{
	return g_hash_table_lookup(packs->packs, GUINT_TO_POINTER(number));
}

void pack_forget_locked(struct packs *packs, const struct pack *pack)
{
	packs->total -= pack->end;
	g_hash_table_remove(packs->packs, GUINT_TO_POINTER(pack->number));
}

void pack_note_thin_locked(struct packs *packs, struct pack *pack)
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
		pack_note_thin_locked(packs, pack);
}

bool pack_set_locked(struct packs *packs, struct pack *pack, uint32_t epoch,
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

void pack_settle_loss(const struct packs *packs, const struct loss *loss)
{
	g_autofree char *path = pack_path(packs, loss->pack);
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

void pack_lost_locked(struct packs *packs, uint32_t number)
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

/* --- opening and closing --- */

static void stop_reading(struct pack *pack)
{
	if (pack->fd >= 0)
		close(pack->fd);
	pack->fd = -1;
}

static void pack_free(void *data)
{
	stop_reading(data);
	g_free(data);
}

struct pack *pack_new_locked(struct packs *packs, uint32_t number, int64_t used_ns)
{
	struct pack *pack = g_new0(struct pack, 1);

	pack->number = number;
	pack->fd = -1;
	pack->used_ns = pack->noted_ns = used_ns;
	g_hash_table_insert(packs->packs, GUINT_TO_POINTER(number), pack);
	return pack;
}

void packs_end_current(struct packs *packs)
{
	if (packs->current_fd >= 0)
		close(packs->current_fd);
	packs->current_fd = -1;
	packs->current = 0;
}

static void packs_free(struct packs **packs)
{
	struct packs *old = g_steal_pointer(packs);

	if (!old)
		return;
	packs_end_current(old);
	pack_table_free(&old->table);
	g_hash_table_destroy(old->packs);
	g_array_unref(old->thin);
	pthread_mutex_destroy(&old->lock);
	g_free(old->dir);
	g_free(old);
}

struct packs *packs_open(const char *dir, uint64_t max_bytes, GError **error)
{
	struct packs *packs = g_new0(struct packs, 1);

	packs->dir = g_build_filename(dir, "packs", NULL);
	packs->pack_max = MIN(PACK_BYTES, max_bytes / PACK_PART);
	packs->table = pack_table_new();
	packs->packs = g_hash_table_new_full(NULL, NULL, NULL, pack_free);
	packs->thin = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	packs->current_fd = -1;
	pthread_mutex_init(&packs->lock, NULL);
	if (file_make_private_dir(packs->dir, error))
		packs_scan(packs);
	else
		packs_free(&packs);
	return packs;
}

void packs_close(struct packs **packs)
{
	if (*packs)
		packs_list(*packs);
	packs_free(packs);
}

/* --- readers --- */

void pack_use_locked(struct pack *pack, int fd)
{
	const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};

	pack->used_ns = clock_wall_ns();
	if (pack->used_ns - pack->noted_ns <= USE_GRAIN_NS)
		return;
	pack->noted_ns = pack->used_ns;
	futimens(fd, times);
}

/* It says nothing about the file. */
static bool is_want(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOMEM || number == EINTR;
}

bool pack_is_whole_locked(const struct pack *pack, int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink > 0 &&
	       (uint64_t)stat.st_size >= pack->end;
}

/* To find its file by name each time took longer than to read from it. */
static bool keep_open_locked(struct packs *packs, struct pack *pack)
{
	uint32_t *slot = &packs->open[packs->next_open++ % PACKS_OPEN];
	struct pack *old = pack_find(packs, *slot);

	if (old)
		stop_reading(old);
	stop_reading(pack);
	*slot = pack->number;
	pack->fd = pack_open(packs, pack->number, O_RDONLY);
	return pack->fd >= 0;
}

/* A descriptor of what still holds the entry, or -1. */
static int entry_open_locked(struct packs *packs, const struct pack_entry *entry)
{
	struct pack *pack = pack_find(packs, entry->pack);
	bool whole = pack_is_whole_locked(pack, pack->fd);

	if (!whole && !keep_open_locked(packs, pack) && is_want(errno))
		return -1;
	if (!whole && !pack_is_whole_locked(pack, pack->fd)) {
		pack_lost_locked(packs, entry->pack);
		return -1;
	}
	pack_use_locked(pack, pack->fd);
	return fcntl(pack->fd, F_DUPFD_CLOEXEC, 0);
}

void pack_settle_check(struct packs *packs, uint32_t epoch, const struct pack_entry *entry,
		       bool sound)
{
	struct loss loss = {0};

	pthread_mutex_lock(&packs->lock);
	struct pack_entry *now = pack_table_find(packs->table, epoch, entry->uid);

	if (pack_is_same(now, entry) && sound)
		now->checked = 1;
	else if (pack_is_same(now, entry))
		entry_remove_locked(packs, epoch, entry->uid, &loss);
	pthread_mutex_unlock(&packs->lock);
	if (loss.pack)
		pack_settle_loss(packs, &loss);
}

struct pack_record *pack_read_entry(int fd, uint32_t epoch, const struct pack_entry *entry)
{
	return pack_record_read(fd, entry->start, epoch, entry->uid, entry->size);
}

/* Each time at least that it is this message's place: a cache that somebody puts back under us has
 * files of the same names. */
static bool check(struct packs *packs, uint32_t epoch, const struct pack_entry *entry, int fd)
{
	g_autofree struct pack_record *record = NULL;

	if (entry->checked && pack_record_is_at(fd, entry->start, epoch, entry->uid, entry->size))
		return true;
	record = pack_read_entry(fd, epoch, entry);
	pack_settle_check(packs, epoch, entry, record != NULL);
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
	if (!check(packs, epoch, &entry, fd)) {
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
		pack_settle_loss(packs, &loss);
}

void packs_drop_all(struct packs *packs, uint32_t epoch, uint32_t number)
{
	g_autoptr(GArray) losses = g_array_new(FALSE, FALSE, sizeof(struct loss));
	struct loss loss;

	pthread_mutex_lock(&packs->lock);
	g_autoptr(GArray) names = pack_table_names(packs->table, epoch, number);

	for (guint i = 0; i < names->len; i++) {
		const struct packs_name *name = &g_array_index(names, struct packs_name, i);

		entry_remove_locked(packs, name->epoch, name->uid, &loss);
		g_array_append_val(losses, loss);
	}
	/* what goes with its pack need not be marked */
	for (guint i = losses->len; i-- > 0;) {
		const struct loss *old = &g_array_index(losses, struct loss, i);

		if (!old->empty && !pack_find(packs, old->pack))
			g_array_remove_index_fast(losses, i);
	}
	pthread_mutex_unlock(&packs->lock);
	for (guint i = 0; i < losses->len; i++)
		pack_settle_loss(packs, &g_array_index(losses, struct loss, i));
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
