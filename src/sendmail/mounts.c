#include "sendmail/mounts.h"

#include "base/number.h"
#include "sendmail/failure.h"

#include <string.h>
#include <unistd.h>

#define TYPE "fuse.mailfs"
#define INSTEAD "say --outbox, or set MAILFS_OUTBOX"

static void mounted_free(void *data)
{
	struct mounted *mounted = data;

	g_free(mounted->account);
	g_free(mounted->path);
	g_free(mounted);
}

static bool is_of(const char *options, uid_t uid)
{
	g_auto(GStrv) words = g_strsplit(options, ",", 0);
	uint32_t owner;

	for (size_t i = 0; words[i]; i++) {
		if (g_str_has_prefix(words[i], "user_id=") &&
		    number_parse_u32(words[i] + 8, strlen(words[i] + 8), &owner))
			return owner == uid;
	}
	return false;
}

/* Fields: ID, parent, device, root, path, options, tags until "-", type, source, more options. The
 * kernel writes blanks as octal numbers. */
static struct mounted *line_parse(const char *line, uid_t uid)
{
	g_auto(GStrv) fields = g_strsplit(line, " ", 0);
	guint count = g_strv_length(fields);
	struct mounted *mounted;
	size_t dash = 6;

	while (dash < count && strcmp(fields[dash], "-") != 0)
		dash++;
	if (dash + 3 >= count || strcmp(fields[3], "/") != 0 ||
	    strcmp(fields[dash + 1], TYPE) != 0 || !is_of(fields[dash + 3], uid))
		return NULL;
	mounted = g_new0(struct mounted, 1);
	mounted->path = g_strcompress(fields[4]);
	mounted->account = g_strcompress(fields[dash + 2]);
	if (g_str_has_suffix(mounted->account, ":"))
		mounted->account[strlen(mounted->account) - 1] = '\0';
	return mounted;
}

GPtrArray *mounts_parse(const char *text, uid_t uid)
{
	GPtrArray *mounts = g_ptr_array_new_with_free_func(mounted_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 0);

	for (size_t i = 0; lines[i]; i++) {
		struct mounted *mounted = line_parse(lines[i], uid);

		if (mounted)
			g_ptr_array_add(mounts, mounted);
	}
	return mounts;
}

/* "alice@example.org" is sent by the account of that user, or of alice at a host below that domain.
 */
static bool fits(const struct mounted *mounted, const char *sender)
{
	const char *host = strrchr(mounted->account, '@');
	const char *domain = strrchr(sender, '@');
	g_autofree char *user = NULL;
	g_autofree char *server = NULL;
	g_autofree char *below = NULL;

	if (!host || !domain)
		return false;
	user = g_strndup(mounted->account, (gsize)(host - mounted->account));
	if (g_ascii_strcasecmp(user, sender) == 0)
		return true;
	server = g_ascii_strdown(host + 1, (gssize)strcspn(host + 1, ":"));
	below = g_ascii_strdown(domain, -1);
	if (strlen(user) != (size_t)(domain - sender) ||
	    g_ascii_strncasecmp(user, sender, strlen(user)) != 0)
		return false;
	if (strcmp(server, below + 1) == 0)
		return true;
	below[0] = '.';
	return g_str_has_suffix(server, below);
}

const struct mounted *mounts_choose(const GPtrArray *mounts, const char *sender, GError **error)
{
	const struct mounted *found = NULL;
	unsigned count = 0;

	if (mounts->len == 1)
		return g_ptr_array_index(mounts, 0);
	if (mounts->len == 0) {
		failure_set(error, EX_CONFIG,
			    "no mounted account has an outbox: mount one with -o smtp=URL, "
			    "or " INSTEAD);
		return NULL;
	}
	for (guint i = 0; sender && i < mounts->len; i++) {
		const struct mounted *mounted = g_ptr_array_index(mounts, i);

		if (fits(mounted, sender)) {
			found = mounted;
			count++;
		}
	}
	if (count == 1)
		return found;
	failure_set(error, EX_CONFIG,
		    "several mounted accounts have an outbox, and the sender does not say "
		    "which to take: " INSTEAD);
	return NULL;
}

/* A mount that does not answer, or has no outbox, is none to choose. */
static void keep_outboxes(GPtrArray *mounts)
{
	for (guint i = mounts->len; i > 0; i--) {
		const struct mounted *mounted = g_ptr_array_index(mounts, i - 1);
		g_autofree char *outbox = g_build_filename(mounted->path, "outbox", NULL);

		if (!g_file_test(outbox, G_FILE_TEST_IS_DIR))
			g_ptr_array_remove_index(mounts, i - 1);
	}
}

/* What mount(8) mounted has the name that fstab gives it; the mount knows whose mail it is. */
static void ask_accounts(const GPtrArray *mounts)
{
	static const char key[] = "\naccount: ";

	for (guint i = 0; i < mounts->len; i++) {
		struct mounted *mounted = g_ptr_array_index(mounts, i);
		g_autofree char *path = g_build_filename(mounted->path, ".mailfs/status", NULL);
		g_autofree char *text = NULL;
		const char *line;

		if (!g_file_get_contents(path, &text, NULL, NULL))
			continue;
		line = strstr(text, key);
		if (!line)
			continue;
		line += strlen(key);
		g_free(mounted->account);
		mounted->account = g_strndup(line, strcspn(line, "\n"));
	}
}

char *mounts_outbox(const char *sender, GError **error)
{
	g_autoptr(GPtrArray) mounts = NULL;
	g_autofree char *text = NULL;
	const struct mounted *mounted;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL)) {
		failure_set(error, EX_OSERR, "cannot read /proc/self/mountinfo: " INSTEAD);
		return NULL;
	}
	mounts = mounts_parse(text, getuid());
	keep_outboxes(mounts);
	ask_accounts(mounts);
	mounted = mounts_choose(mounts, sender, error);
	return mounted ? g_build_filename(mounted->path, "outbox", NULL) : NULL;
}
