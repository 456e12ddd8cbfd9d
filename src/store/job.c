#include "store/store.h"

#include <unistd.h>

struct store_job *store_job_new(enum store_job_kind kind)
{
	struct store_job *job = g_new0(struct store_job, 1);

	job->kind = kind;
	job->fd = -1;
	return job;
}

void store_job_free(struct store_job **job)
{
	if (!*job)
		return;
	g_free((*job)->name);
	g_clear_pointer(&(*job)->names, g_ptr_array_unref);
	g_clear_pointer(&(*job)->folders, g_array_unref);
	g_clear_pointer(&(*job)->batch, g_array_unref);
	seqset_clear(&(*job)->uids);
	g_free((*job)->set_words);
	g_free((*job)->clear_words);
	g_free((*job)->target);
	if ((*job)->fd >= 0)
		close((*job)->fd);
	g_clear_pointer(&(*job)->copied, g_array_unref);
	g_clear_pointer(&(*job)->found, g_ptr_array_unref);
	g_clear_pointer(&(*job)->changes, g_ptr_array_unref);
	g_clear_pointer(job, g_free);
}

void store_identity_free(void *data)
{
	struct store_identity *identity = data;

	g_free(identity->fields);
	g_free(identity);
}
