#include "config/options_private.h"

#include <string.h>

static char *row_usage(const struct row *row)
{
	GString *out = g_string_new(NULL);

	if (row->letter)
		g_string_append_printf(out, "-%c", row->letter);
	if (row->name) {
		g_autofree char *name = g_strdelimit(g_strdup(row->name), "_", '-');

		g_string_append_printf(out, "%s--%s", row->letter ? ", " : "", name);
	}
	if (row->value)
		g_string_append_printf(out, "%s%s", row->name ? "=" : " ", row->value);
	return g_string_free(out, FALSE);
}

char *options_help(void)
{
	GString *out = g_string_new(
		"Usage: mailfs [OPTIONS] SOURCE MOUNTPOINT\n"
		"       mailfs [OPTIONS] ACCOUNT [MOUNTPOINT]\n"
		"       mailfs [OPTIONS] --all [DIR]\n"
		"       mailfs --check [ACCOUNT] | --print-config ACCOUNT | --list-accounts\n"
		"\n"
		"Mounts the folders of a mail account as directories and its "
		"messages as files.\n"
		"ACCOUNT is one of the configuration file, see mailfs.conf(5).\n"
		"SOURCE is imaps://USER@HOST[:PORT] (TLS), "
		"imap://USER@HOST[:PORT] (STARTTLS),\n"
		"pop3s://USER@HOST[:PORT] (TLS) or "
		"pop3://USER@HOST[:PORT] (STARTTLS);\n"
		"URL is smtps://[USER@]HOST[:PORT] (TLS) or "
		"smtp://[USER@]HOST[:PORT] (STARTTLS).\n"
		"\n");
	size_t count;
	const struct row *rows = options_rows(&count);

	for (size_t i = 0; i < count; i++) {
		g_autofree char *left = NULL;

		if (rows[i].place == PLACE_ACCOUNT)
			continue;
		left = row_usage(&rows[i]);

		/* Too long for its column: the help goes into the next line. */
		if (strlen(left) > 24)
			g_string_append_printf(out, "  %s\n%28s%s\n", left, "", rows[i].help);
		else
			g_string_append_printf(out, "  %-26s%s\n", left, rows[i].help);
	}
	g_string_append(out, "\nLong options with '--' can be given to -o too, as can options of "
			     "mount(8).\n"
			     "Those of a mount are keys of the configuration file.\n"
			     "Unmount with: fusermount3 -u MOUNTPOINT\n");
	return g_string_free(out, FALSE);
}
