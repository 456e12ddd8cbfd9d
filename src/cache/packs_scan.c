/* What the packs hold, from one mount to the next: by the list of the mount before, else by the
 * headers of all records. No other thread is there yet, or any more. */
#include "cache/packs_private.h"

#include "base/number.h"
#include "cache/pack_list.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define NUMBERS (1u << 30) /* larger ones are not ours */

struct file {
	uint32_t number;
	uint64_t size;
	int64_t used_ns;
};

/* --- the files --- */

static int by_number(const void *left, const void *right)
{
	uint32_t a = ((const struct file *)left)->number;
	uint32_t b = ((const struct file *)right)->number;

	return a < b ? -1 : a > b;
}

static bool number_of(const char *name, uint32_t *ret)
{
	/* "01.pack" would be 1.pack again */
	return g_str_has_suffix(name, PACK_SUFFIX) && name[0] != '0' &&
	       number_parse_u32(name, strlen(name) - strlen(PACK_SUFFIX), ret) && *ret < NUMBERS;
}

static void take_file(int dir_fd, const char *name, GArray *files)
{
	struct file file;
	struct stat stat;

	if (!number_of(name, &file.number) ||
	    fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(stat.st_mode))
		return;
	file.size = (uint64_t)stat.st_size;
	file.used_ns = stat.st_atim.tv_sec * NS_PER_S + stat.st_atim.tv_nsec;
	g_array_append_val(files, file);
}

static GArray *find_files(const struct packs *packs)
{
	GArray *files = g_array_new(FALSE, FALSE, sizeof(struct file));
	DIR *dir = opendir(packs->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		take_file(dirfd(dir), entry->d_name, files);
	if (dir)
		closedir(dir);
	g_array_sort(files, by_number);
	return files;
}

/* --- by their headers --- */

static void scan_record(struct packs *packs, struct pack *pack, const struct pack_record *record)
{
	const struct pack_entry entry = {.uid = record->uid,
					 .pack = pack->number,
					 .start = (uint32_t)(pack->end + sizeof(*record)),
					 .size = record->size & PACK_ENTRY_SIZE};
	struct loss loss;

	if (record->kind == PACK_RECORD_LIVE &&
	    pack_set_locked(packs, pack, record->epoch, &entry, &loss))
		pack_settle_loss(packs, &loss);
}

/* Ends before the first record that is not whole. What is behind it goes; else the pack would go on
 * behind that, and not be believed. */
static void scan_file(struct packs *packs, const struct file *file)
{
	struct pack *pack = pack_new_locked(packs, file->number, file->used_ns);
	int fd = pack_open(packs, file->number, O_RDWR);
	struct pack_record record;

	if (fd < 0) {
		pack_forget_locked(packs, pack);
		return;
	}
	while (pack_record_head(fd, pack->end, MIN(file->size, INT32_MAX), &record)) {
		uint64_t bytes = pack_record_bytes(record.size);

		scan_record(packs, pack, &record);
		pack->end += bytes;
		packs->total += bytes;
	}
	if (pack->end < file->size && ftruncate(fd, (off_t)pack->end) < 0) {
		packs->total += file->size - pack->end;
		pack->end = file->size;
	}
	close(fd);
}

/* --- by the list --- */

/* No pack was altered since. */
static bool is_of(const struct pack_list *list, const GArray *files)
{
	if (list->packs->len != files->len)
		return false;
	for (guint i = 0; i < files->len; i++) {
		const struct file *file = &g_array_index(files, struct file, i);
		const struct pack_list_pack *pack =
			&g_array_index(list->packs, struct pack_list_pack, i);

		if (pack->number != file->number || pack->end != file->size)
			return false;
	}
	return true;
}

static void enter_listed(struct packs *packs, const struct pack_list_entry *listed)
{
	const struct pack_entry entry = {.uid = listed->uid,
					 .pack = listed->pack,
					 .start = listed->start,
					 .size = listed->size & PACK_ENTRY_SIZE};
	struct pack *pack = pack_find(packs, listed->pack);
	struct loss loss;

	if (pack && listed->size <= PACKS_MESSAGE_MAX &&
	    listed->start >= sizeof(struct pack_record) &&
	    (uint64_t)listed->start + listed->size <= pack->end &&
	    !pack_table_find(packs->table, listed->epoch, listed->uid))
		pack_set_locked(packs, pack, listed->epoch, &entry, &loss);
}

static void enter_list(struct packs *packs, const struct pack_list *list, const GArray *files)
{
	for (guint i = 0; i < files->len; i++) {
		const struct file *file = &g_array_index(files, struct file, i);

		pack_new_locked(packs, file->number, file->used_ns)->end = file->size;
		packs->total += file->size;
	}
	for (guint i = 0; i < list->entries->len; i++)
		enter_listed(packs, &g_array_index(list->entries, struct pack_list_entry, i));
}

/* --- both --- */

static void look_after(struct packs *packs, const struct file *file)
{
	struct pack *pack = pack_find(packs, file->number);

	if (pack && pack->entries == 0) {
		g_autofree char *path = pack_path(packs, file->number);

		pack_forget_locked(packs, pack);
		unlink(path);
	} else if (pack) {
		pack_note_thin_locked(packs, pack);
	}
}

void packs_scan(struct packs *packs)
{
	struct pack_list *list = pack_list_take(packs->dir);
	g_autoptr(GArray) files = find_files(packs);

	if (list && is_of(list, files)) {
		enter_list(packs, list, files);
	} else {
		for (guint i = 0; i < files->len; i++)
			scan_file(packs, &g_array_index(files, struct file, i));
	}
	pack_list_free(&list);
	for (guint i = 0; i < files->len; i++)
		look_after(packs, &g_array_index(files, struct file, i));
	if (files->len > 0)
		packs->current = g_array_index(files, struct file, files->len - 1).number;
	packs->next = packs->current + 1;
}

static int by_pack_number(const void *left, const void *right)
{
	uint32_t a = ((const struct pack_list_pack *)left)->number;
	uint32_t b = ((const struct pack_list_pack *)right)->number;

	return a < b ? -1 : a > b;
}

static void list_packs(const struct packs *packs, struct pack_list *list)
{
	const struct pack *pack;
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, packs->packs);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&pack)) {
		const struct pack_list_pack listed = {pack->number, (uint32_t)pack->end};

		g_array_append_val(list->packs, listed);
	}
	g_array_sort(list->packs, by_pack_number);
}

void packs_list(const struct packs *packs)
{
	struct pack_list *list = pack_list_new();
	g_autoptr(GArray) names = pack_table_names(packs->table, 0, 0);

	list_packs(packs, list);
	for (guint i = 0; i < names->len; i++) {
		const struct packs_name *name = &g_array_index(names, struct packs_name, i);
		const struct pack_entry *entry =
			pack_table_find(packs->table, name->epoch, name->uid);
		const struct pack_list_entry listed = {name->epoch, name->uid, entry->pack,
						       entry->start, entry->size};

		g_array_append_val(list->entries, listed);
	}
	pack_list_write(list, packs->dir);
	pack_list_free(&list);
}
