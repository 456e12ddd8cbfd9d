/* Where in the packs each message is: held in memory, 16 bytes a message. No lock, no disk. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct pack_table;

#define PACK_ENTRY_SIZE 0x3fffffffu

struct pack_entry {
	uint32_t uid;
	uint32_t pack;
	uint32_t start; /* of its bytes, behind the header */
	uint32_t size : 30;
	uint32_t fresh : 1;   /* made since the packs were opened */
	uint32_t checked : 1; /* its bytes are as they were */
};

struct pack_table *pack_table_new(void);
void pack_table_free(struct pack_table **table);
/* Valid until the next change; NULL: there is none. */
struct pack_entry *pack_table_find(const struct pack_table *table, uint32_t epoch, uint32_t uid);
/* True if it took the place of `*ret_old`. */
bool pack_table_set(struct pack_table *table, uint32_t epoch, const struct pack_entry *entry,
		    struct pack_entry *ret_old);
/* There must be one. */
struct pack_entry pack_table_remove(struct pack_table *table, uint32_t epoch, uint32_t uid);
/* Of struct packs_name: those of an epoch, of a pack, or (0) of any. */
GArray *pack_table_names(const struct pack_table *table, uint32_t epoch, uint32_t pack);
