/* How a message stands in the file of a pack: a header of its own, in the byte order of this
 * machine, then its bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pack_record_kind { PACK_RECORD_LIVE = 0x4b43504d, PACK_RECORD_GONE = 0x4b434758 };

struct pack_record {
	uint32_t kind;	/* the only field that ever changes */
	uint32_t check; /* of those that follow */
	uint32_t epoch;
	uint32_t uid;
	uint32_t size;
	uint32_t data_check;
};

void pack_record_init(struct pack_record *ret, uint32_t epoch, uint32_t uid, const void *bytes,
		      uint32_t size);
uint64_t pack_record_bytes(uint32_t size);
/* The header at `at` of a file of `size` bytes. False: there is no whole record. */
bool pack_record_head(int fd, uint64_t at, uint64_t size, struct pack_record *ret);
/* The header before `start` is that of this message. */
bool pack_record_is_at(int fd, uint64_t start, uint32_t epoch, uint32_t uid, uint32_t size);
/* What was written of this message with its bytes at `start` (free with g_free()), or NULL: that is
 * not what is there. */
struct pack_record *pack_record_read(int fd, uint64_t start, uint32_t epoch, uint32_t uid,
				     uint32_t size);
/* Both: false with errno. */
bool pack_record_write(int fd, uint64_t at, const struct pack_record *record, const void *bytes);
bool pack_record_remove(int fd, uint64_t start);
