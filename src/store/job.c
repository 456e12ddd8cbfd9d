#include "store/store.h"

struct store_job *store_job_new(enum store_job_kind kind)
{
	struct store_job *job = g_new0(struct store_job, 1);

	job->kind = kind;
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
	g_clear_pointer(job, g_free);
}
