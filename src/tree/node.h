/* Node ids are arithmetic: kind in bits 60-63, folder or epoch in 32-59, UID (or number) in 0-31.
 * No table of live nodes, the same ids in every mount. Any thread. */
#pragma once

#include "tree/tree.h"

#define NODE_ROOT 1u

/* The low bits of a view's node; never renumbered. */
enum node_view { NODE_VIEW_DELETED = 1 };

/* The epoch of a node of the outbox. Its low bits: of a directory which one, else the queue's
 * number of the message. */
enum node_outbox {
	NODE_OUTBOX_DIR,
	NODE_OUTBOX_MESSAGE,
	NODE_OUTBOX_ERROR, /* "NAME.eml.err" */
};

enum node_outbox_dir { NODE_OUTBOX_TOP = 1, NODE_OUTBOX_FAILED = 2 };

uint64_t node_pack(enum node_kind kind, uint32_t epoch, uint32_t low);
/* The low 32 bits: of a message its UID, of a control node its number. */
uint32_t node_low(uint64_t node);
uint64_t node_outbox(enum node_outbox what, uint32_t low);
enum node_outbox node_outbox_what(uint64_t node);
