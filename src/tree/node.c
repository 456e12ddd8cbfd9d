#include "tree/node.h"

#define KIND_SHIFT 60
#define EPOCH_SHIFT 32
#define EPOCH_MASK 0x0fffffffu

uint64_t node_pack(enum node_kind kind, uint32_t epoch, uint32_t low)
{
	return (uint64_t)kind << KIND_SHIFT | (uint64_t)(epoch & EPOCH_MASK) << EPOCH_SHIFT | low;
}

uint32_t node_low(uint64_t node)
{
	return (uint32_t)node;
}

uint64_t node_outbox(enum node_outbox what, uint32_t low)
{
	return node_pack(NODE_OUTBOX, what, low);
}

enum node_outbox node_outbox_what(uint64_t node)
{
	return (enum node_outbox)tree_node_epoch(node);
}

uint64_t tree_outbox_node(bool failed)
{
	return node_outbox(NODE_OUTBOX_DIR, failed ? NODE_OUTBOX_FAILED : NODE_OUTBOX_TOP);
}

uint64_t tree_folder_node(uint32_t folder)
{
	/* The kernel wants the root to be 1. */
	return folder == INDEX_ROOT ? NODE_ROOT : node_pack(NODE_FOLDER, folder, 0);
}

uint64_t tree_message_node(uint32_t epoch, uint32_t uid)
{
	return node_pack(NODE_MESSAGE, epoch, uid);
}

uint64_t tree_deleted_node(uint32_t folder)
{
	return node_pack(NODE_VIEW, folder, NODE_VIEW_DELETED);
}

enum node_kind tree_node_kind(uint64_t node)
{
	return (enum node_kind)(node >> KIND_SHIFT);
}

uint32_t tree_node_epoch(uint64_t node)
{
	return node == NODE_ROOT ? INDEX_ROOT : (uint32_t)(node >> EPOCH_SHIFT) & EPOCH_MASK;
}
