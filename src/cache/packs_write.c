/* Where packs get what is in them. The engine thread. */
#include "cache/packs_private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MAKE_TRIES 16

/* False if the pack that is written to is full, or gone. Who has removed its file by hand, or cut
 * it, is noticed, too. */
static bool current_end_of(struct packs *packs, uint64_t bytes, uint64_t *ret)
{
	if (packs->current_fd < 0 && packs->current)
		packs->current_fd = pack_open(packs, packs->current, O_RDWR);
	pthread_mutex_lock(&packs->lock);
	struct pack *pack = pack_find(packs, packs->current);
	bool there = pack && pack_is_whole_locked(pack, packs->current_fd);

	if (pack && !there)
		pack_lost_locked(packs, packs->current);
	bool fits = there && pack->end + bytes <= packs->pack_max;

	if (fits)
		*ret = pack->end;
	else if (there)
		pack_note_thin_locked(packs, pack);
	pthread_mutex_unlock(&packs->lock);
	return fits;
}

/* Its directory may have been removed under us. */
static bool current_make(struct packs *packs, GError **error)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL;

	packs_end_current(packs);
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
	bool counts = !from ||
		      pack_is_same(pack_table_find(packs->table, record->epoch, record->uid), from);

	if (pack) {
		pack->end += pack_record_bytes(entry->size);
		packs->total += pack_record_bytes(entry->size);
		pack_use_locked(pack, packs->current_fd);
	}
	if (pack && counts)
		pack_set_locked(packs, pack, record->epoch, entry, &loss);
	else if (pack)
		loss = (struct loss){.pack = entry->pack, .start = entry->start};
	pthread_mutex_unlock(&packs->lock);
	if (loss.pack)
		pack_settle_loss(packs, &loss);
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
	path = pack_path(packs, packs->current);
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
	struct pack_entry entry;
	int fd = -1;

	if (entry_get(packs, epoch, uid, &entry))
		fd = pack_open(packs, entry.pack, O_RDONLY);
	if (fd >= 0) {
		record = pack_read_entry(fd, epoch, &entry);
		close(fd);
	}
	if (!record) {
		g_set_error(error, MAILFS_ERROR, ERROR_IO, "it cannot be read");
		return false;
	}
	pack_record_init(record, to_epoch, to_uid, record + 1, record->size);
	return append(packs, record, record + 1, entry.fresh, NULL, error);
}

/* One that is not what was written goes. False: there is no room. */
static bool move(struct packs *packs, const struct packs_name *name, int fd)
{
	g_autofree struct pack_record *record = NULL;
	struct pack_entry entry;

	if (!entry_get(packs, name->epoch, name->uid, &entry))
		return true;
	record = pack_read_entry(fd, name->epoch, &entry);
	if (record)
		return append(packs, record, record + 1, entry.fresh, &entry, NULL);
	pack_settle_check(packs, name->epoch, &entry, false);
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
		packs_end_current(packs);
}
