#include "tree/attr.h"

#include <string.h>
#include <sys/auxv.h>

#define MODE_DIR (S_IFDIR | 0500)
#define MODE_FILE (S_IFREG | 0400)
#define DIR_BYTES 4096
/* Large reads of directories: half the requests for a listing. */
#define DIR_BLOCK_BYTES 131072
#define FILE_BLOCK_BYTES 4096
#define NS_PER_S 1000000000
#define BLOCK_BYTES 512

struct timespec attr_time(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	if (time.tv_nsec < 0) {
		time.tv_sec--;
		time.tv_nsec += NS_PER_S;
	}
	return time;
}

void attr_set_size(struct tree_entry *entry, uint64_t size)
{
	entry->attr.st_size = (off_t)MIN(size, (uint64_t)INT64_MAX);
	entry->attr.st_blocks = (blkcnt_t)(size / BLOCK_BYTES + (size % BLOCK_BYTES != 0));
}

static void fill(struct tree_entry *ret, uint64_t node, mode_t mode, uint64_t size)
{
	memset(ret, 0, sizeof(*ret));
	ret->node = node;
	ret->attr.st_ino = node;
	ret->attr.st_mode = mode;
	/* As geteuid() and getegid(), which ask the kernel each time: half of a long listing. The
	 * program never changes them. */
	ret->attr.st_uid = (uid_t)getauxval(AT_EUID);
	ret->attr.st_gid = (gid_t)getauxval(AT_EGID);
	attr_set_size(ret, size);
}

void attr_dir(struct tree_entry *ret, uint64_t node, int64_t mtime_ns)
{
	fill(ret, node, MODE_DIR, DIR_BYTES);
	ret->attr.st_nlink = 2;
	ret->attr.st_blksize = DIR_BLOCK_BYTES;
	ret->attr.st_mtim = attr_time(mtime_ns);
	ret->attr.st_ctim = ret->attr.st_mtim;
	ret->attr.st_atim = ret->attr.st_mtim;
	ret->volatile_attr = true;
}

void attr_file(struct tree_entry *ret, uint64_t node, uint64_t size, bool volatile_attr)
{
	fill(ret, node, MODE_FILE, size);
	ret->attr.st_nlink = 1;
	ret->attr.st_blksize = FILE_BLOCK_BYTES;
	ret->volatile_attr = volatile_attr;
}

void attr_draft(struct tree_entry *ret, uint64_t node, uint64_t size, int64_t mtime_ns)
{
	attr_file(ret, node, size, true);
	attr_set_writable(ret);
	ret->attr.st_mtim = attr_time(mtime_ns);
	ret->attr.st_ctim = ret->attr.st_mtim;
	ret->attr.st_atim = ret->attr.st_mtim;
	ret->volatile_name = true;
}

void attr_set_writable(struct tree_entry *entry)
{
	entry->attr.st_mode |= S_IWUSR;
}
