/* What a folder shows of its messages: the index with the changes of this mount applied, under the
 * names that clients chose. Any thread. */
#pragma once

#include "tree/tree_private.h"

/* What all messages of a folder have in common: asked once a listing, so that many messages without
 * a change cost nothing more. Holds no memory; `token` and `mailbox` are those of the row that it
 * was made of. */
struct shown {
	struct tree *tree;
	uint32_t folder;
	uint32_t epoch; /* 0: never opened, nothing to show */
	uint64_t uidvalidity;
	const char *mailbox;
	const char *token;
	bool writable; /* messages can be removed, for all that is known */
	bool changed;  /* changes of messages are on record */
	bool named;    /* chosen names are */
};

void shown_init(struct shown *ret, const struct visit *visit, const struct folder_row *folder);

enum shown_place {
	SHOWN_NOWHERE, /* moved away or expunged, or never there */
	SHOWN_LISTED,
	SHOWN_DELETED, /* in the view ".deleted" */
};

enum shown_place shown_place(const struct shown *shown, const struct message_row *row);
/* The name that it is listed under. Free with g_free(). */
char *shown_name(const struct shown *shown, const struct message_row *row);
void shown_entry(const struct shown *shown, const struct message_row *row, struct tree_entry *ret);

struct shown_message {
	uint32_t uid;
	struct tree_entry entry;
};

enum shown_result {
	SHOWN_FOUND,
	SHOWN_UNKNOWN, /* the server may know more: the name is one that only it can tell of */
	SHOWN_MISSING, /* certain */
};

/* By its listed name, "<uid>.eml", or another name that a client chose. A message's own name wins
 * over one that a client chose for another and that only looks like it. */
enum shown_result shown_find(const struct visit *visit, const struct shown *shown, const char *name,
			     enum shown_place place, struct shown_message *ret);
/* How many are in each place. */
void shown_count(const struct visit *visit, const struct shown *shown,
		 const struct folder_row *folder, uint32_t *ret_listed, uint32_t *ret_deleted);

/* parts.c: the directory "<uid>.d" of what shown_find() finds, also as "<listed name>.d". */
enum shown_result parts_find(const struct visit *visit, const struct shown *shown, const char *name,
			     enum shown_place place, struct tree_entry *ret);
