/* The names that clients gave to messages: each message has at most one, and each name of a folder
 * stands for at most one message. Kept until the message is gone. Any thread; see state.h. */
#pragma once

#include "state/state.h"

/* Replaces the message's former name, and takes the name from another message that had it. Touches
 * the folder. */
bool names_set(struct state *state, const struct state_box *box, uint32_t uid, const char *name,
	       GError **error);
/* NULL if it has none. Free with g_free(). */
char *names_get(struct state *state, uint32_t epoch, uint32_t uid);
/* The UID, or 0. */
uint32_t names_find(struct state *state, uint32_t epoch, const char *name);
/* Any name in this epoch. */
bool names_in(struct state *state, uint32_t epoch);
/* Any name in this mailbox, bound or not. */
bool names_of(struct state *state, const char *mailbox);
/* The messages are gone. `first` <= `last`. */
void names_drop(struct state *state, uint32_t epoch, uint32_t first, uint32_t last);
