#include "cache/pack_record.h"

#include "base/file.h"
#include "cache/packs.h"

#include <errno.h>
#include <glib.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

static uint32_t check_of(const void *bytes, size_t len)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, len);
}

static uint32_t head_check(const struct pack_record *record)
{
	return check_of(&record->epoch, sizeof(*record) - offsetof(struct pack_record, epoch));
}

void pack_record_init(struct pack_record *ret, uint32_t epoch, uint32_t uid, const void *bytes,
		      uint32_t size)
{
	*ret = (struct pack_record){.kind = PACK_RECORD_LIVE,
				    .epoch = epoch,
				    .uid = uid,
				    .size = size,
				    .data_check = check_of(bytes, size)};
	ret->check = head_check(ret);
}

uint64_t pack_record_bytes(uint32_t size)
{
	return sizeof(struct pack_record) + size;
}

static bool read_all(int fd, void *bytes, size_t len, uint64_t offset)
{
	ssize_t got;

	do
		got = pread(fd, bytes, len, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)len;
}

static bool is_sound(const struct pack_record *record)
{
	return (record->kind == PACK_RECORD_LIVE || record->kind == PACK_RECORD_GONE) &&
	       record->size <= PACKS_MESSAGE_MAX && record->check == head_check(record);
}

bool pack_record_head(int fd, uint64_t at, uint64_t size, struct pack_record *ret)
{
	struct pack_record record;

	if (!read_all(fd, &record, sizeof(record), at) || !is_sound(&record) || at > size ||
	    size - at < pack_record_bytes(record.size))
		return false;
	*ret = record;
	return true;
}

static bool is_of(const struct pack_record *record, uint32_t epoch, uint32_t uid, uint32_t size)
{
	return is_sound(record) && record->epoch == epoch && record->uid == uid &&
	       record->size == size;
}

bool pack_record_is_at(int fd, uint64_t start, uint32_t epoch, uint32_t uid, uint32_t size)
{
	struct pack_record record;

	return read_all(fd, &record, sizeof(record), start - sizeof(record)) &&
	       is_of(&record, epoch, uid, size);
}

struct pack_record *pack_record_read(int fd, uint64_t start, uint32_t epoch, uint32_t uid,
				     uint32_t size)
{
	g_autofree struct pack_record *record = g_malloc(pack_record_bytes(size));

	if (!read_all(fd, record, pack_record_bytes(size), start - sizeof(*record)) ||
	    !is_of(record, epoch, uid, size) || check_of(record + 1, size) != record->data_check)
		return NULL;
	return g_steal_pointer(&record);
}

bool pack_record_write(int fd, uint64_t at, const struct pack_record *record, const void *bytes)
{
	struct iovec parts[] = {{(void *)record, sizeof(*record)}, {(void *)bytes, record->size}};
	ssize_t written = pwritev(fd, parts, G_N_ELEMENTS(parts), (off_t)at);

	if (written == (ssize_t)pack_record_bytes(record->size))
		return true;
	if (written < 0 && errno != EINTR)
		return false;
	return file_pwrite_all(fd, record, sizeof(*record), (off_t)at) &&
	       file_pwrite_all(fd, bytes, record->size, (off_t)(at + sizeof(*record)));
}

bool pack_record_remove(int fd, uint64_t start)
{
	const uint32_t kind = PACK_RECORD_GONE;

	return file_pwrite_all(fd, &kind, sizeof(kind),
			       (off_t)(start - sizeof(struct pack_record)));
}
