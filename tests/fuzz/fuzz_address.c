/* Arbitrary bytes as a list of addresses. What is taken is fit for MAIL and RCPT as it stands,
 * means the same when it is written again, and is what GMime finds. */
#include "fuzz.h"
#include "outbox/address.h"

#include <gmime/gmime.h>

static GPtrArray *parse(const char *value)
{
	g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;

	if (address_list_parse(value, addresses, &error))
		return g_steal_pointer(&addresses);
	FUZZ_CHECK(addresses->len == 0);
	FUZZ_CHECK(g_utf8_validate(error->message, -1, NULL));
	FUZZ_CHECK(!strpbrk(error->message, "\r\n"));
	return NULL;
}

static void check_ascii(const char *address)
{
	g_autofree char *ascii = address_to_ascii(address, NULL);

	if (!ascii)
		return;
	FUZZ_CHECK(address_check(ascii, NULL));
	FUZZ_CHECK(g_str_is_ascii(strrchr(ascii, '@')));
	FUZZ_CHECK(address_needs_utf8(ascii) == address_needs_utf8(address));
}

static void check_address(const char *address)
{
	g_autofree char *named = g_strdup_printf("N <%s>", address);
	g_autoptr(GPtrArray) again = parse(address);
	g_autoptr(GPtrArray) again_named = parse(named);

	FUZZ_CHECK(address_check(address, NULL));
	for (const char *c = address; *c; c++)
		FUZZ_CHECK((guchar)*c >= 0x20 && *c != 0x7f);
	FUZZ_CHECK(*address == '"' || !strpbrk(address, "<>() ,;:") || strchr(address, '['));
	FUZZ_CHECK(again && again->len == 1 && g_str_equal(again->pdata[0], address));
	FUZZ_CHECK(again_named && again_named->len == 1 &&
		   g_str_equal(again_named->pdata[0], address));
	check_ascii(address);
}

static void check_found(InternetAddress *found, const GPtrArray *addresses, guint *number);

static void check_members(InternetAddressList *list, const GPtrArray *addresses, guint *number)
{
	for (int i = 0; list && i < internet_address_list_length(list); i++)
		check_found(internet_address_list_get_address(list, i), addresses, number);
}

static void check_found(InternetAddress *found, const GPtrArray *addresses, guint *number)
{
	InternetAddressMailbox *mailbox;
	const char *address;

	if (INTERNET_ADDRESS_IS_GROUP(found)) {
		check_members(INTERNET_ADDRESS_GROUP(found)->members, addresses, number);
		return;
	}
	FUZZ_CHECK(*number < addresses->len);
	address = addresses->pdata[(*number)++];
	mailbox = INTERNET_ADDRESS_MAILBOX(found);
	/* "xn--..." is decoded. */
	FUZZ_CHECK(g_str_equal(internet_address_mailbox_get_addr(mailbox), address) ||
		   strstr(address, "xn--"));
}

static void compare(const char *value, const GPtrArray *addresses)
{
	GMimeParserOptions *options = g_mime_parser_options_new();
	g_auto(GStrv) lines = g_strsplit_set(value, "\r\n", -1);
	g_autofree char *unfolded = g_strjoinv("", lines);
	InternetAddressList *list;
	guint number = 0;

	g_mime_parser_options_set_address_compliance_mode(options, GMIME_RFC_COMPLIANCE_STRICT);
	list = internet_address_list_parse(options, unfolded);
	check_members(list, addresses, &number);
	FUZZ_CHECK(number == addresses->len);
	g_clear_object(&list);
	g_mime_parser_options_free(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	g_autofree char *value = g_strndup((const char *)bytes, len);
	g_autoptr(GPtrArray) addresses = NULL;

	g_mime_init();
	addresses = parse(value);
	if (addresses)
		compare(value, addresses);
	for (guint i = 0; addresses && i < addresses->len; i++)
		check_address(addresses->pdata[i]);
	return 0;
}
