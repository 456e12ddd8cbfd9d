/* Plays every transcript of a directory: whole, byte by byte, and cut at random. */
#include "wire_imap.h"
#include "wire_store.h"

#include <string.h>

#define SEEDS 5

static const char *mode_names[] = {"whole", "bytes", "random"};

static const struct {
	const char *name;
	const struct wire_driver *driver;
} drivers[] = {
	{"session", &wire_imap},
	{"store", &wire_store},
	{"pop3_store", &wire_pop3_store},
};

struct job {
	const char *path;
	const struct wire_driver *driver;
	enum wire_cuts cuts;
};

static void job_run(const void *data)
{
	const struct job *job = data;
	unsigned times = job->cuts == WIRE_RANDOM ? SEEDS : 1;

	for (unsigned seed = 0; seed < times; seed++)
		wire_play(job->path, job->driver, job->cuts, seed);
}

static void job_add(const char *path, const struct wire_driver *driver, enum wire_cuts cuts)
{
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *name = g_strdup_printf("/wire/%s/%s", base, mode_names[cuts]);
	struct job *job = g_new0(struct job, 1);

	job->path = path;
	job->driver = driver;
	job->cuts = cuts;
	g_test_add_data_func_full(name, job, job_run, g_free);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *list_transcripts(const char *directory)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	GDir *dir = g_dir_open(directory, 0, NULL);
	const char *name;

	if (!dir)
		g_error("%s: cannot be listed", directory);
	while ((name = g_dir_read_name(dir))) {
		if (g_str_has_suffix(name, ".txt"))
			g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
	}
	g_dir_close(dir);
	g_ptr_array_sort(paths, compare_paths);
	return paths;
}

static const struct wire_driver *driver_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
		if (g_str_equal(name, drivers[i].name))
			return drivers[i].driver;
	}
	g_error("no such driver: %s", name);
}

int main(int argc, char **argv)
{
	g_autoptr(GPtrArray) paths = NULL;
	const struct wire_driver *driver;

	g_test_init(&argc, &argv, NULL);
	if (argc != 3)
		g_error("usage: wire_run session|store|pop3_store DIRECTORY");
	driver = driver_find(argv[1]);
	paths = list_transcripts(argv[2]);
	g_assert_cmpuint(paths->len, >, 0);
	for (unsigned i = 0; i < paths->len; i++) {
		for (unsigned cuts = WIRE_WHOLE; cuts <= WIRE_RANDOM; cuts++)
			job_add(g_ptr_array_index(paths, i), driver, cuts);
	}
	return g_test_run();
}
