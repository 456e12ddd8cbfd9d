/* Replays a corpus where there is no fuzzer: every file of the directories that are named. */
#include "fuzz.h"

#include <stdlib.h>

static void replay_file(const char *path)
{
	g_autofree char *bytes = NULL;
	gsize len;

	if (!g_file_get_contents(path, &bytes, &len, NULL))
		g_error("cannot read %s", path);
	LLVMFuzzerTestOneInput((const uint8_t *)bytes, len);
}

static unsigned replay_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	unsigned count = 0;

	if (!dir)
		g_error("cannot open %s", path);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		replay_file(file);
		count++;
	}
	return count;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++)
		count += replay_dir(argv[i]);
	g_print("%u inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
