/* Arbitrary bytes as a folder's raw component, and as a name that somebody looks up. The first byte
 * says whether it stands at the root. */
#include "tree/name.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the server calls a folder, a directory can be called so, and leads back to it. */
static void check_raw(const char *raw, bool at_root)
{
	g_autofree char *name = name_from_raw(raw, at_root);
	g_autofree char *back = name_to_raw(name, at_root);

	g_assert_true(g_utf8_validate(name, -1, NULL));
	g_assert_true(name[0] != '\0' && name[0] != '.');
	g_assert_true(strlen(name) <= NAME_MAX_BYTES);
	g_assert_null(strchr(name, '/'));
	g_assert_false(name_is_message_like(name));
	g_assert_true(!at_root || strcmp(name, "outbox") != 0);
	if (name_is_cut(name))
		g_assert_null(back);
	else
		g_assert_cmpstr(back, ==, raw);
}

/* What resolves has no other name. */
static void check_name(const char *name, bool at_root)
{
	g_autofree char *raw = name_to_raw(name, at_root);
	g_autofree char *again = raw != NULL ? name_from_raw(raw, at_root) : NULL;
	uint32_t uid;

	if (raw != NULL)
		g_assert_cmpstr(again, ==, name);
	if (name_parse_message(name, &uid)) {
		g_assert_cmpuint(uid, >, 0);
		g_assert_null(raw);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = NULL;
	bool at_root;

	if (size == 0)
		return 0;
	at_root = (data[0] & 1) != 0;
	/* Ends at the first NUL, as every name. */
	text = g_strndup((const char *)data + 1, size - 1);
	check_raw(text, at_root);
	check_name(text, at_root);
	return 0;
}
