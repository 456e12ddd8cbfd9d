/* Arbitrary bytes as a subject. Whatever it says, its label is fit to be a part of a file name. */
#include "base/text.h"
#include "engine/label.h"
#include "fuzz.h"

static void check_chars(const char *label)
{
	for (const char *c = label; *c; c = g_utf8_next_char(c)) {
		FUZZ_CHECK(!text_char_is_hostile(g_utf8_get_char(c)));
		FUZZ_CHECK((guchar)*c >= 0x80 || g_ascii_isalnum(*c) || strchr("-_+=@", *c));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	/* Ends at the first NUL, as every header. */
	g_autofree char *subject = g_strndup((const char *)bytes, len);

	label_init();
	g_autofree char *label = label_from_subject(subject);
	g_autofree char *composed = g_utf8_normalize(label, -1, G_NORMALIZE_NFC);

	FUZZ_CHECK(g_utf8_validate(label, -1, NULL));
	FUZZ_CHECK(strlen(label) <= LABEL_MAX_BYTES);
	FUZZ_CHECK(!g_str_has_prefix(label, "-") && !g_str_has_suffix(label, "-"));
	FUZZ_CHECK(strstr(label, "--") == NULL);
	FUZZ_CHECK(strcmp(label, composed) == 0);
	check_chars(label);
	return 0;
}
