/* Arbitrary bytes as a folder's raw component, and as a name that somebody looks up. The first byte
 * says whether it stands at the root. */
#include "fuzz.h"
#include "tree/name.h"

/* Whatever the server calls a folder, a directory can be called so, and leads back to it. */
static void check_raw(const char *raw, bool at_root)
{
	g_autofree char *name = name_from_raw(raw, at_root);
	g_autofree char *back = name_to_raw(name, at_root);

	FUZZ_CHECK(g_utf8_validate(name, -1, NULL));
	FUZZ_CHECK(name[0] != '\0' && name[0] != '.');
	FUZZ_CHECK(strlen(name) <= NAME_MAX_BYTES);
	FUZZ_CHECK(strchr(name, '/') == NULL);
	FUZZ_CHECK(!name_is_message_like(name));
	FUZZ_CHECK(!at_root || strcmp(name, "outbox") != 0);
	if (name_is_cut(name))
		FUZZ_CHECK(back == NULL);
	else
		FUZZ_CHECK(g_strcmp0(back, raw) == 0);
}

/* What resolves has no other name. */
static void check_name(const char *name, bool at_root)
{
	g_autofree char *raw = name_to_raw(name, at_root);
	g_autofree char *again = raw != NULL ? name_from_raw(raw, at_root) : NULL;
	uint32_t uid;

	if (raw != NULL)
		FUZZ_CHECK(strcmp(again, name) == 0);
	if (name_parse_message(name, &uid)) {
		FUZZ_CHECK(uid > 0);
		FUZZ_CHECK(raw == NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autofree char *text = NULL;
	bool at_root;

	if (len == 0)
		return 0;
	at_root = (bytes[0] & 1) != 0;
	/* Ends at the first NUL, as every name. */
	text = g_strndup((const char *)bytes + 1, len - 1);
	check_raw(text, at_root);
	check_name(text, at_root);
	return 0;
}
