#include "cache/pack_list.h"

#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#define NAME "list"
#define MAGIC 0x4c43504du
#define BYTES_MAX (64u * 1024 * 1024) /* more is not written: the records tell */

struct head {
	uint32_t magic;
	uint32_t check; /* of what follows */
	uint32_t packs;
	uint32_t entries;
};

struct pack_list *pack_list_new(void)
{
	struct pack_list *list = g_new0(struct pack_list, 1);

	list->packs = g_array_new(FALSE, FALSE, sizeof(struct pack_list_pack));
	list->entries = g_array_new(FALSE, FALSE, sizeof(struct pack_list_entry));
	return list;
}

void pack_list_free(struct pack_list **list)
{
	struct pack_list *old = g_steal_pointer(list);

	if (!old)
		return;
	g_array_unref(old->packs);
	g_array_unref(old->entries);
	g_free(old);
}

static uint32_t check_of(const void *bytes, size_t len)
{
	const size_t from = offsetof(struct head, packs);

	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const uint8_t *)bytes + from, len - from);
}

static uint64_t bytes_of(const struct head *head)
{
	return sizeof(*head) + (uint64_t)head->packs * sizeof(struct pack_list_pack) +
	       (uint64_t)head->entries * sizeof(struct pack_list_entry);
}

void pack_list_write(const struct pack_list *list, const char *dir)
{
	struct head head = {MAGIC, 0, list->packs->len, list->entries->len};
	g_autofree char *path = g_build_filename(dir, NAME, NULL);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	int fd;

	if (bytes_of(&head) > BYTES_MAX)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return;
	g_byte_array_append(bytes, (const guint8 *)&head, sizeof(head));
	g_byte_array_append(bytes, (const guint8 *)list->packs->data,
			    head.packs * (guint)sizeof(struct pack_list_pack));
	g_byte_array_append(bytes, (const guint8 *)list->entries->data,
			    head.entries * (guint)sizeof(struct pack_list_entry));
	((struct head *)bytes->data)->check = check_of(bytes->data, bytes->len);
	if (!file_pwrite_all(fd, bytes->data, bytes->len, 0))
		unlink(path);
	close(fd);
}

static struct pack_list *parse(const char *bytes, gsize len)
{
	const struct head *head = (const struct head *)bytes;
	struct pack_list *list;

	if (len < sizeof(*head) || head->magic != MAGIC || bytes_of(head) != len ||
	    head->check != check_of(bytes, len))
		return NULL;
	list = pack_list_new();
	g_array_append_vals(list->packs, bytes + sizeof(*head), head->packs);
	g_array_append_vals(list->entries,
			    bytes + len - head->entries * sizeof(struct pack_list_entry),
			    head->entries);
	return list;
}

struct pack_list *pack_list_take(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, NAME, NULL);
	g_autofree char *bytes = NULL;
	gsize len;
	bool got = file_read(path, BYTES_MAX, false, &bytes, &len, NULL);

	/* it must not be believed once more */
	if (unlink(path) < 0 || !got)
		return NULL;
	return parse(bytes, len);
}
