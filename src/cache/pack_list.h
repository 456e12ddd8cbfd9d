/* DIR/packs/list: what is in the packs, written at the end, so that the next start need not look at
 * every record. It is taken away when it is read: after a kill there is none. No lock. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct pack_list_pack {
	uint32_t number;
	uint32_t end; /* of its records, and of the file */
};

struct pack_list_entry {
	uint32_t epoch;
	uint32_t uid;
	uint32_t pack;
	uint32_t start;
	uint32_t size;
};

struct pack_list {
	GArray *packs;	 /* of struct pack_list_pack, in the order of their numbers */
	GArray *entries; /* of struct pack_list_entry */
};

struct pack_list *pack_list_new(void);
void pack_list_free(struct pack_list **list);
/* `dir`: that of the packs. There is none, if it cannot be written. */
void pack_list_write(const struct pack_list *list, const char *dir);
/* Its checksum is right, and no more was looked at. NULL: there is none. */
struct pack_list *pack_list_take(const char *dir);
