/* "<uid>.d/flags" while it is open. What is written through one open is one text, however many
 * writes it comes in. */

#include "tree/file_private.h"

#include <errno.h>
#include <fcntl.h>

#define TEXT_MAX 65536

struct tree_file *flags_file_new(uint64_t node, int flags, char *text, gsize len)
{
	struct tree_file *file = tree_file_new_text(node, text, len);

	file->written = g_string_new(NULL);
	file->append = (flags & O_APPEND) != 0;
	return file;
}

/* All up to here, over again: what has been applied is no difference any more. */
static int apply_locked(const struct visit *visit, struct tree_file *file, size_t len)
{
	int result = flags_write(visit, file->node, file->written->str, len);

	file->changed = file->changed || result == 0;
	return result;
}

/* The last word may go on in the next write, and a text without a word may get one. */
static int write_locked(const struct visit *visit, struct tree_file *file, size_t len,
			const void *buffer)
{
	size_t before = file->written->len, known = flags_whole_words(file->written->str, before);
	size_t whole;
	int result = 0;

	g_string_append_len(file->written, buffer, (gssize)len);
	whole = flags_whole_words(file->written->str, file->written->len);
	if (whole > known)
		result = apply_locked(visit, file, whole);
	if (result == 0)
		file->unfinished = whole == 0 || whole < file->written->len;
	else
		g_string_truncate(file->written, before);
	return result;
}

int flags_file_write(const struct visit *visit, struct tree_file *file, uint64_t offset, size_t len,
		     const void *buffer)
{
	int result;

	pthread_mutex_lock(&file->lock);
	if (!file->append && offset != file->written->len)
		result = EINVAL;
	else if (len > TEXT_MAX - file->written->len)
		result = EFBIG;
	else
		result = write_locked(visit, file, len, buffer);
	pthread_mutex_unlock(&file->lock);
	return result;
}

int flags_file_truncate(struct tree_file *file, uint64_t size)
{
	int result = 0;

	pthread_mutex_lock(&file->lock);
	if (size == 0) {
		g_string_truncate(file->written, 0);
		file->unfinished = false;
	} else if (size != file->written->len) {
		result = EINVAL;
	}
	pthread_mutex_unlock(&file->lock);
	return result;
}

int flags_file_flush(const struct visit *visit, struct tree_file *file)
{
	int result = 0;

	pthread_mutex_lock(&file->lock);
	if (file->unfinished)
		result = apply_locked(visit, file, file->written->len);
	if (result == 0)
		file->unfinished = false;
	pthread_mutex_unlock(&file->lock);
	return result;
}

bool tree_file_take_changed(struct tree_file *file)
{
	bool taken;

	pthread_mutex_lock(&file->lock);
	taken = file->changed;
	file->changed = false;
	pthread_mutex_unlock(&file->lock);
	return taken;
}
